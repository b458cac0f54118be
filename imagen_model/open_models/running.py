"""One run of a pipeline, or of a cascade's pipelines one after another, for a fixed number of rows.

Rows of one run share size, steps and guidance, for diffusers takes those once a call; prompts and noise are each
row's own. A row's generator lives on the CPU and goes through all stages, as in DeepFloyd's own recipe.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..generation import ErrorCode, Failure, GenerationRequest
from .call_form import CallForm
from .folder import SAFETY_CHECKER
from .noise import seeded_noise

# With `true_cfg_scale` guidance is off unless there is a negative prompt; this is the one of Qwen-Image's own examples.
NO_NEGATIVE = " "


@dataclass(frozen=True, slots=True)
class RunShape:
    """What the rows of one run have in common.

    Args:
        negative: whether rows bring negative prompts; without any, a pipeline may use zeros (SDXL).
        tokens: of prompt and negative prompt for each tokenizer, where rows of other lengths would change the
            arithmetic; else empty.
    """

    width: int
    height: int
    steps: int | None
    guidance: float | None
    negative: bool
    tokens: tuple[int, ...] = ()

    @property
    def memory(self) -> Hashable:
        """Equal for runs that need the same memory for a row: steps do not count, and of guidance only whether it
        computes every row twice, which pipelines do above 1 or above 0."""
        guidance = None if self.guidance is None else min(max(math.ceil(self.guidance), 0), 2)
        return (self.width, self.height, guidance, self.negative, self.tokens)


@dataclass(frozen=True)
class Stage:
    """A loaded pipeline, how it is called, and pixels a side after it where that is fixed."""

    pipeline: Any
    form: CallForm
    side: int | None = None


def run_stages(
    stages: Sequence[Stage], requests: Sequence[GenerationRequest], shape: RunShape
) -> list[Image.Image | Failure]:
    """A picture for each request, or why there is none."""
    generators = [torch.Generator("cpu").manual_seed(request.seed) for request in requests]
    picture: Any = None
    flagged = [False] * len(requests)
    for number, stage in enumerate(stages):
        last = number + 1 == len(stages)
        arguments = call_arguments(stage, requests, shape, number)
        if picture is not None:
            arguments["image"] = picture
        kind = "np" if last else "pt"
        with seeded_noise(stage.pipeline, generators):
            output = stage.pipeline(generator=generators, output_type=kind, return_dict=True, **arguments)
        picture = output.images
        flagged = either(flagged, flags_of(output))
        if not last and isinstance(picture, Tensor):
            # A picture that is no number must not reach the next stage, whose checks may raise for all rows.
            picture = torch.where(picture.flatten(1).isfinite().all(1)[:, None, None, None], picture, torch.nan)
    if checker_of(stages[-1]) is None:
        for stage in stages[:-1]:
            if checker_of(stage) is not None:
                flagged = either(flagged, judge(stage, picture))
    hook = watermark_of(stages[-1])
    found = [finished(pixels, (shape.width, shape.height), flag) for pixels, flag in zip(picture, flagged, strict=True)]
    return [one if isinstance(one, Failure) or hook is None else hook(one) for one in found]


def call_arguments(stage: Stage, requests: Sequence[GenerationRequest], shape: RunShape, number: int) -> dict[str, Any]:
    """Args:
    number: of the stage, from 0; only the first takes the rows' guidance, later ones keep their own.
    """
    form = stage.form
    arguments: dict[str, Any] = {**form.fixed, "prompt": [request.prompt for request in requests]}
    if number == 0 and form.guidance is not None and shape.guidance is not None:
        arguments[form.guidance] = shape.guidance
    if form.steps is not None and shape.steps is not None:
        arguments["num_inference_steps"] = shape.steps if number == 0 else min(shape.steps, form.steps)
    if form.takes_size and stage.side is None:
        arguments |= {"width": shape.width, "height": shape.height}
    if form.takes_negative and (shape.negative or form.guidance == "true_cfg_scale"):
        missing = NO_NEGATIVE if form.guidance == "true_cfg_scale" else ""
        arguments["negative_prompt"] = [request.negative_prompt or missing for request in requests]
    return arguments


def flags_of(output: Any) -> list[list[bool]]:
    """What the safety checker says of the pictures: a list for each thing that it looks for."""
    names = ("nsfw_content_detected", "nsfw_detected", "watermark_detected")
    return [flags for name in names if (flags := getattr(output, name, None)) is not None]


def either(flagged: Sequence[bool], found: Iterable[Sequence[bool]]) -> list[bool]:
    """Of each picture, whether any of the flags is set."""
    return [any(flags) for flags in zip(flagged, *found, strict=True)]


def checker_of(stage: Stage) -> Any:
    return getattr(stage.pipeline, SAFETY_CHECKER, None)


def judge(stage: Stage, pictures: Any) -> list[list[bool]]:
    """What the checker of an earlier stage says of the finished pictures (rows, height, width, 3), as `flags_of`."""
    copied = np.nan_to_num(np.asarray(pictures))  # it blackens what it flags
    dtype = next(checker_of(stage).parameters()).dtype
    _, *found = stage.pipeline.run_safety_checker(copied, stage.pipeline._execution_device, dtype)
    return [flags for flags in found if flags is not None]


def watermark_of(stage: Stage) -> Any:
    """Puts the pipeline's watermark on a picture, where it leaves that to pictures of Pillow (DeepFloyd IF)."""
    marker = getattr(stage.pipeline, "watermarker", None)
    if marker is None:
        return None
    side = stage.pipeline.unet.config.sample_size
    return lambda image: marker.apply_watermark([image], side)[0]


def finished(pixels: Any, size: tuple[int, int], flagged: bool) -> Image.Image | Failure:
    """(height, width, 3) of 0 to 1 as a picture, by diffusers' own rounding."""
    values = np.asarray(pixels)
    if flagged:
        return Failure(
            ErrorCode.CONTENT_FILTERED,
            "the model's safety checker held the picture back; another seed may pass, or --no-safety-checker",
        )
    if not np.isfinite(values).all():
        return Failure(
            ErrorCode.GENERATION_FAILED,
            "the model gave no numbers (NaN) for a picture, as many do in float16; give --dtype bfloat16 or float32",
        )
    if values.shape[:2] != (size[1], size[0]):
        given = f"{values.shape[1]}x{values.shape[0]}"
        return Failure(
            ErrorCode.GENERATION_FAILED,
            f"the model made {given} pixels instead of {size[0]}x{size[1]}; ask for {given}",
        )
    rounded = (values * 255).round().astype("uint8")
    if not rounded.any():
        return Failure(
            ErrorCode.GENERATION_FAILED,
            "the model gave a picture that is black throughout; give --dtype float32, another prompt or another seed",
        )
    return Image.fromarray(rounded.squeeze() if rounded.shape[-1] == 1 else rounded).convert("RGB")
