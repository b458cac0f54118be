"""Sizes of one diffusion stage and how it samples, checked as a whole; needs no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SAMPLERS = ("euler", "heun", "ancestral")
# Of every diffusion stage, where neither the request, the model nor the stage says otherwise.
DEFAULT_STEPS = 4


@dataclass(frozen=True, slots=True)
class DenoiserConfig:
    """A `DenoisingUNet`: a base stage, or a super-resolution stage when it has a `low_resolution_size`.

    Args:
        image_size: side of the picture that the stage makes, in pixels.
        low_resolution_size: side of the picture that it starts from; None for a base stage.
        unshuffle: the network's grid is `image_size / unshuffle`: a cell holds unshuffle x unshuffle pixels.
        channels, blocks, strides: of each level, finest first: width, residual blocks on the way down (and up),
            and how much coarser the level's grid is than that of the level before (1 or 2).
        self_attention, text_attention: whether a level has attention, and to what.
        attention_after: "block" (each residual block of the level is followed by it) or "level" (only the last is).
        head_size: width of an attention head.
        embedding_size: width of what every block is told: time, augmentation level and the pooled text.
        text_size: width to which the text encoder's states are projected.
        guidance_scale: of a super-resolution stage; 1 is no guidance. A base stage takes the request's.
        inference_steps: fixed number of steps; None takes the request's `num_inference_steps`.
        sampler: "euler" (DDIM), "heun" (second order, two evaluations a step) or "ancestral" (DDPM).
        shift: moves training and sampling times towards noise, as larger pictures want (arXiv 2403.03206).
        threshold: percentile (0 to 1) of dynamic thresholding; None clips to the range of a picture.
        augmentation: level of noise on the low-resolution picture when sampling, 0 to 1.
    """

    image_size: int
    low_resolution_size: int | None = None
    unshuffle: int = 1
    channels: tuple[int, ...] = (64, 128)
    blocks: tuple[int, ...] = (1, 2)
    strides: tuple[int, ...] = (1, 2)
    self_attention: tuple[bool, ...] = (False, True)
    text_attention: tuple[bool, ...] = (False, True)
    attention_after: str = "block"
    head_size: int = 32
    embedding_size: int = 256
    text_size: int = 128
    guidance_scale: float = 1.0
    inference_steps: int | None = None
    sampler: str = "euler"
    shift: float = 1.0
    threshold: float | None = None
    augmentation: float = 0.0

    def __post_init__(self) -> None:
        for name in ("channels", "blocks", "strides", "self_attention", "text_attention"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON has lists only
            if len(getattr(self, name)) != len(self.channels) or not self.channels:
                raise ValueError(
                    f"{name} must have one value for each of the {len(self.channels)} levels in channels, "
                    f"got {getattr(self, name)}"
                )
        if any(stride not in (1, 2) for stride in self.strides):
            raise ValueError(f"strides must be 1 or 2, got {self.strides}")
        if self.unshuffle < 1 or self.image_size % self.granularity:
            raise ValueError(
                f"image_size must be a multiple of {self.granularity} (unshuffle times all strides), "
                f"got {self.image_size}"
            )
        low = self.low_resolution_size
        if low is not None and (low < 1 or not is_power_of_two_multiple(self.image_size, low)):
            raise ValueError(f"image_size must be low_resolution_size times 2, 4, 8, ..., got {self.image_size}, {low}")
        attending = [c for c, own, text in zip(self.channels, self.self_attention, self.text_attention, strict=True)
                     if own or text]  # fmt: skip
        if any(width % self.head_size for width in attending):
            raise ValueError(f"channels with attention must be multiples of head_size {self.head_size}: {attending}")
        if self.attention_after not in ("block", "level"):
            raise ValueError(f"attention_after must be block or level, got {self.attention_after!r}")
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {self.sampler!r}")
        if self.shift <= 0:
            raise ValueError(f"shift must be greater than 0, got {self.shift}; 1 is none")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be a percentile in (0, 1], or null for clipping, got {self.threshold}")
        if not 0 <= self.augmentation <= 1:
            raise ValueError(f"augmentation must be from 0 to 1, got {self.augmentation}")
        if self.inference_steps is not None and not 1 <= self.inference_steps <= 1000:
            raise ValueError(f"inference_steps must be from 1 to 1000, or null, got {self.inference_steps}")

    @property
    def granularity(self) -> int:
        """Pixels that a cell of the coarsest grid covers; a crop's side must be a multiple of it."""
        product = self.unshuffle
        for stride in self.strides:
            product *= stride
        return product

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> DenoiserConfig:
        """From a mapping as `config.json` and training files hold it.

        Raises:
            ValueError: an unknown field, or values that do not fit together.
        """
        known = [item.name for item in dataclasses.fields(cls)]
        unknown = sorted(set(fields) - set(known))
        if unknown:
            raise ValueError(f"unknown field {', '.join(unknown)} of a diffusion stage; known: {', '.join(known)}")
        if "image_size" not in fields:
            raise ValueError("a diffusion stage needs image_size, the side of its picture in pixels")
        return cls(**fields)


def is_power_of_two_multiple(large: int, small: int) -> bool:
    factor = large // small
    return large == small * factor and factor > 1 and factor & (factor - 1) == 0
