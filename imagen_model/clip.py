"""CLIP as a judge of pictures: how near a picture is to its prompt, by any CLIP of transformers in a folder.

The score is 2.5 max(cos, 0) of the two embeddings (CLIPScore, arXiv 2104.08718); it depends on the CLIP, which every
report names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, CLIPModel

from .captioner import on_white
from .catalog import ModelNotFound
from .devices import choose_device, single_thread_on_cpu
from .quiet_loading import quiet_transformers

SCALE = 2.5
BATCH = 16


class Clip:
    """A CLIP in memory, on one device.

    Attributes:
        name: the last part of its folder's path, for reports.
    """

    def __init__(self, model: Any, processor: Any, tokenizer: Any, name: str) -> None:
        self.model, self.processor, self.tokenizer, self.name = model, processor, tokenizer, name

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "auto") -> Clip:
        """Args:
            folder: of a transformers `CLIPModel` with its image processor and tokenizer.
            device: "auto" takes a GPU if there is one.

        Raises:
            ModelNotFound: there is no CLIP.
        """
        path = Path(folder).expanduser()
        if not (path / "config.json").is_file():
            raise ModelNotFound(f"{folder} has no config.json; give the folder of a transformers CLIP")
        with quiet_transformers():
            kind = AutoConfig.from_pretrained(path).model_type
            if kind != "clip":
                raise ModelNotFound(
                    f"{folder} holds a {kind}, which is no CLIP; give the folder of a transformers CLIP"
                )
            model = CLIPModel.from_pretrained(path, dtype=torch.float32)
            processor, tokenizer = AutoImageProcessor.from_pretrained(path), AutoTokenizer.from_pretrained(path)
        return cls(model.eval().to(choose_device(device)), processor, tokenizer, path.resolve().name)

    def save_pretrained(self, folder: str | Path) -> None:
        """Weights, image processor and tokenizer in one folder, which `from_pretrained` takes."""
        with quiet_transformers():
            for part in (self.model, self.processor, self.tokenizer):
                part.save_pretrained(folder)

    def scores(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """The score of each picture with its own text, 0 to 2.5. A text is cut to what the CLIP reads."""
        found: list[float] = []
        for start in range(0, len(images), BATCH):
            chosen = slice(start, start + BATCH)
            found += self.cosines(images[chosen], texts[chosen]).clamp(min=0).mul(SCALE).tolist()
        return found

    @torch.inference_mode()
    def cosines(self, images: Sequence[Image.Image], texts: Sequence[str]) -> torch.Tensor:
        """(pictures,) on the CPU, of at most a batch of pairs."""
        pixels = self.processor(images=[on_white(image) for image in images], return_tensors="pt")["pixel_values"]
        limit = self.model.config.text_config.max_position_embeddings
        read = self.tokenizer(list(texts), padding=True, truncation=True, max_length=limit, return_tensors="pt")
        device = self.model.device
        with single_thread_on_cpu(device):
            out = self.model(
                input_ids=read["input_ids"].to(device),
                attention_mask=read["attention_mask"].to(device),
                pixel_values=pixels.to(device),
            )
        return (out.image_embeds * out.text_embeds).sum(-1).cpu()  # both of length 1
