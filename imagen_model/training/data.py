"""Captioned drawings for a step, a function of (seed, step) alone: resuming needs no state of the data."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..illustrations.captions import caption
from ..illustrations.drawing import draw
from ..illustrations.worlds import random_scene

Batch = tuple[list[str], Tensor]
# A word that no vocabulary holds: the model learns that unknown words change nothing.
UNKNOWN_WORD = "qzx"


class DrawnBatches(Dataset[Batch]):
    """Item `step` is that step's (captions, pictures (batch, side, side, 3) uint8)."""

    def __init__(self, seed: int, batch_size: int, side: int, steps: int, caption_dropout: float) -> None:
        self.seed, self.batch_size, self.side = seed, batch_size, side
        self.steps, self.caption_dropout = steps, caption_dropout

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        rng = random.Random(f"{self.seed}:{step}")
        captions, pictures = [], []
        for _ in range(self.batch_size):
            scene = random_scene(rng)
            text = "" if rng.random() < self.caption_dropout else caption(scene, rng)
            captions.append(with_unknown_words(text, rng))
            pictures.append(draw(scene, self.side))
        return captions, torch.from_numpy(np.stack(pictures))


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
