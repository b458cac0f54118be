"""What users call on an `Imagen`: pictures of prompts, colours for grey pictures, captions, likelihoods.

Each is a thin form of the one verb, or of a part of its own, which is imported by the first call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from PIL import Image

from .catalog import ModelNotFound
from .text import tokenize

if TYPE_CHECKING:
    from .imagen import Imagen


class UserCalls:
    """Mixed into `Imagen`."""

    def generate_image(self, prompt: str, seed: int = 0, **parameters: Any) -> Image.Image:
        """One picture.

        Args:
            prompt: what it shows.
            seed: 0 to 2**32 - 1; the same seed gives the same picture, alone or in any batch.
            parameters: `width`, `height`, `guidance_scale`, `temperature`, `top_k`, `top_p`, `negative_prompt`,
                `num_inference_steps`, `best_of`, `post_processing`; those that the model has.

        Raises:
            InvalidRequest: a value that cannot be; the message names it, its limit and the remedy.
        """
        return self.generate_images([prompt], seeds=[seed], **parameters)[0]

    def generate_images(
        self, prompts: Sequence[str], seeds: Sequence[int] | None = None, **parameters: Any
    ) -> list[Image.Image]:
        """A picture for each prompt; `seeds` default to 0, 1, 2, ...

        Raises:
            InvalidRequest: for the first prompt that cannot be drawn.
        """
        from .generation import Failure, GenerationRequest, InvalidRequest
        from .imagen_generator import ImagenGenerator

        numbers = range(len(prompts)) if seeds is None else seeds
        requests = [
            GenerationRequest(prompt, seed, **parameters) for prompt, seed in zip(prompts, numbers, strict=True)
        ]
        images = []
        for result in ImagenGenerator(cast("Imagen", self)).generate(requests):
            if isinstance(result, Failure):
                raise InvalidRequest(result.code, result.message)
            images.append(result.image)
        return images

    def colorize(self, image: Image.Image, prompt: str, seed: int = 0, **parameters: Any) -> Image.Image:
        """A grey picture in colours that fit the prompt: `generate_image` with the step `colorize` before others.

        Args:
            image: its luma is kept, its colours, if it has any, are not seen. It is stretched to the size asked for.
            seed, parameters: as of `generate_image`.

        Raises:
            InvalidRequest: a value that cannot be, or the base is no pixel decoder.
        """
        from .grey_picture import GreyPicture
        from .post_processing import COLORIZE

        steps = ", ".join(filter(None, (COLORIZE, parameters.pop("post_processing", None))))
        return self.generate_image(prompt, seed, grey=GreyPicture.of(image), post_processing=steps, **parameters)

    def caption(self, image: Image.Image) -> str:
        """A sentence that says what the picture shows, by the captioner in this model's folder.

        Raises:
            ModelNotFound: the model came from no folder, or its folder has no captioner.
            ValueError: the picture cannot be read.
        """
        from .captioner import Captioner

        model = cast("Imagen", self)
        if model.captioner is None:
            if not model.name_or_path:
                raise ModelNotFound(
                    "this model came from no folder, so it has no captioner; use imagen_model.captioner.Captioner, or "
                    "load a folder with a subfolder captioner/"
                )
            # No part of the model's own weights: loaded by the first call, on the model's device.
            model.captioner = Captioner.from_pretrained(model.name_or_path, device=str(model.device))
        (result,) = model.captioner.caption([image])
        if result.error_code is not None:
            raise ValueError(result.error_message)
        return result.text

    @torch.no_grad()
    def log_likelihood(self, image: Image.Image, text: str) -> float:
        """Bits that the model needs for one subpixel of the picture, given the text: lower is likelier.

        Args:
            image: brought to the model's size by averaging, to RGB and to the model's levels first.
        """
        model = cast("Imagen", self)
        small = image.convert("RGB").resize((model.config.image_size,) * 2, Image.Resampling.BOX)
        pixels = model.to_levels(torch.from_numpy(np.array(small))[None]).to(model.device)
        ids, mask = tokenize(model.tokenizer, [text], None, model.config.max_text_tokens)
        output = model(ids.to(model.device), mask.to(model.device), pixels)
        return float(output.loss) / math.log(2)
