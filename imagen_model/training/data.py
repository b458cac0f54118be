"""Captioned drawings for a step, a function of (seed, step) alone: resuming needs no state of the data."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..worlds import find_world

# A word that no vocabulary holds: the model learns that unknown words change nothing.
UNKNOWN_WORD = "qzx"


class Batch(NamedTuple):
    """Captions, pictures (batch, side, side, 3) uint8, and for super-resolution the same pictures at the low side."""

    captions: list[str]
    pictures: Tensor
    low: Tensor | None


class DrawnBatches(Dataset[Batch]):
    """Item `step` is that step's batch.

    Args:
        world: name of the world that is drawn; found where it is used, for worker processes.
        side: of the pictures; low_side: of those that super-resolution starts from.
        crop: side of the square that is cut out of each picture, at a place that is a multiple of `align`.
    """

    def __init__(
        self,
        world: str,
        seed: int,
        batch_size: int,
        side: int,
        steps: int,
        caption_dropout: float,
        low_side: int | None = None,
        crop: int | None = None,
        align: int = 1,
    ) -> None:
        self.world = world
        self.seed, self.batch_size, self.side, self.low_side = seed, batch_size, side, low_side
        self.steps, self.caption_dropout = steps, caption_dropout
        self.crop, self.align = crop or side, align

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        world, rng = find_world(self.world), random.Random(f"{self.seed}:{step}")
        captions, pictures, lows = [], [], []
        for _ in range(self.batch_size):
            scene = world.scene(rng)
            text = "" if rng.random() < self.caption_dropout else world.caption(scene, rng)
            captions.append(with_unknown_words(text, rng))
            places = (self.side - self.crop) // self.align
            top, left = (rng.randint(0, places) * self.align if places else 0 for _ in range(2))
            pictures.append(cut(world.picture(scene, self.side), top, left, self.crop))
            if self.low_side is not None:
                scale = self.side // self.low_side
                lows.append(cut(world.picture(scene, self.low_side), top // scale, left // scale, self.crop // scale))
        low = torch.from_numpy(np.stack(lows)) if lows else None
        return Batch(captions, torch.from_numpy(np.stack(pictures)), low)


def cut(picture: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    return picture[top : top + side, left : left + side]


def with_unknown_words(text: str, rng: random.Random) -> str:
    """One caption in twelve gets one to three words that the vocabulary lacks."""
    if not text or rng.random() > 1 / 12:
        return text
    words = text.split()
    for _ in range(rng.randint(1, 3)):
        words.insert(rng.randint(0, len(words)), UNKNOWN_WORD)
    return " ".join(words)


def batches(data: DrawnBatches, first: int, workers: int) -> Iterator[Batch]:
    """The batches from step `first` on, drawn ahead by `workers` processes."""
    loader = DataLoader(
        data,
        sampler=range(first, data.steps),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=8 if workers else None,
    )
    return iter(loader)
