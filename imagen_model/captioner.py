"""Image to text: pictures in, captions out, with any transformers image-to-text model.

A caption is a function of the picture alone: decoding is greedy, in float32, and every call of the network has the
same shape, the last rows of a short tile being blank pictures. One picture that fails says so and no other hears of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from .captioner_source import find_captioner
from .catalog import DEFAULT_MODEL, ModelNotFound
from .devices import choose_device, single_thread_on_cpu
from .quiet_loading import quiet_transformers

TILE = 16
MAX_NEW_TOKENS = 64
INVALID_IMAGE, CAPTION_FAILED = "invalid_image", "caption_failed"


@dataclass(frozen=True, slots=True)
class CaptionResult:
    """A caption; or, with an empty `text`, why there is none: `invalid_image` or `caption_failed`, and a sentence."""

    text: str
    error_code: str | None = None
    error_message: str | None = None


class Captioner:
    """A model that describes pictures, its image processor and its tokenizer.

    Args:
        model: what transformers' `AutoModelForImageTextToText` gives; it must caption without a prompt.
        tile: pictures computed together; every call of the model has so many.
    """

    def __init__(self, model: Any, processor: Any, tokenizer: Any, tile: int = TILE) -> None:
        if tile < 1:
            raise ValueError(f"tile must be at least 1, got {tile}")
        self.model, self.processor, self.tokenizer, self.tile = model, processor, tokenizer, tile

    @classmethod
    def from_pretrained(cls, name_or_folder: str | Path, tile: int = TILE, device: str = "auto") -> Captioner:
        """The captioner of that name, in float32.

        Args:
            name_or_folder: an Imagen that brings one (`imagen-small`), or the folder or hub id of a transformers
                image-to-text model that captions without a prompt: VisionEncoderDecoder, BLIP, GIT, ...
            device: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:1".

        Raises:
            ModelNotFound: there is none; the message says what can be given instead.
        """
        folder = find_captioner(str(name_or_folder)).folder
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder)
            if type(config) not in AutoModelForImageTextToText._model_mapping:
                raise ModelNotFound(
                    f"{name_or_folder} holds a {config.model_type}, which is no image-to-text model of transformers; "
                    f"give {DEFAULT_MODEL} or the folder of one"
                )
            model = AutoModelForImageTextToText.from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
            processor = AutoImageProcessor.from_pretrained(folder)
            tokenizer = AutoTokenizer.from_pretrained(folder)
        return cls(model.eval().to(choose_device(device)), processor, tokenizer, tile)

    def save_pretrained(self, folder: str | Path, without: str = " ") -> None:
        """Weights, image processor and tokenizer in one folder, which `from_pretrained` takes.

        Args:
            without: what the names of weights begin with that only training needs.
        """
        weights = {name: value for name, value in self.model.state_dict().items() if not name.startswith(without)}
        self.model.save_pretrained(folder, state_dict=weights)
        self.processor.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def caption(self, images: Sequence[Image.Image]) -> list[CaptionResult]:
        """A result for each picture, in order; of any size and mode. Transparent parts are read as white."""
        results: list[CaptionResult | None] = [None] * len(images)
        ready: list[tuple[int, Any]] = []
        for index, image in enumerate(images):
            try:
                pixels = self.processor(images=on_white(image), return_tensors="pt")["pixel_values"][0]
                ready.append((index, pixels))
            except Exception as error:  # whatever a decoder finds in a broken file
                results[index] = CaptionResult("", INVALID_IMAGE, f"the picture cannot be read: {error}")
        for start in range(0, len(ready), self.tile):
            part = ready[start : start + self.tile]
            for (index, _), result in zip(part, self.captions([pixels for _, pixels in part]), strict=True):
                results[index] = result
        return [result for result in results if result is not None]

    def captions(self, pixels: Sequence[torch.Tensor]) -> list[CaptionResult]:
        """Of at most a tile of pictures, each (channels, height, width)."""
        try:
            texts = self.generate(torch.stack(list(pixels)))
        except Exception as error:
            if len(pixels) == 1:
                return [CaptionResult("", CAPTION_FAILED, f"the model failed: {type(error).__name__}: {error}")]
            return [result for one in pixels for result in self.captions([one])]
        return [
            CaptionResult(text) if text else CaptionResult("", CAPTION_FAILED, "the model wrote an empty caption")
            for text in texts
        ]

    @torch.no_grad()
    def generate(self, pixels: torch.Tensor) -> list[str]:
        """(pictures, channels, height, width) -> a text for each."""
        blank = pixels.new_zeros((self.tile - len(pixels), *pixels.shape[1:]))
        tile = torch.cat((pixels, blank)).to(self.model.device)
        config = self.model.generation_config
        limit = {} if config.max_length or config.max_new_tokens else {"max_new_tokens": MAX_NEW_TOKENS}
        with single_thread_on_cpu(self.model.device):
            ids = self.model.generate(pixel_values=tile, do_sample=False, num_beams=1, **limit)
        return [text.strip() for text in self.tokenizer.batch_decode(ids[: len(pixels)], skip_special_tokens=True)]


def on_white(image: Image.Image) -> Image.Image:
    """The picture as RGB."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        whole = image.convert("RGBA")
        ground = Image.new("RGBA", whole.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, whole).convert("RGB")
    return image.convert("RGB")
