"""Captioned pictures for a step, a function of (seed, step) alone: resuming needs no state of the data."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..worlds import World, find_world
from .job import InvalidTrainingJob
from .pictures import Picture
from .share import WHOLE, Share

# A word that no vocabulary holds: the model learns that unknown words change nothing.
UNKNOWN_WORD = "qzx"
# So many damaged files one after another are a damaged set.
MOST_DAMAGED = 20


class Batch(NamedTuple):
    """Captions, pictures (batch, side, side, 3) uint8, and for super-resolution the same pictures at the low side."""

    captions: list[str]
    pictures: Tensor
    low: Tensor | None


class Subject(Protocol):
    """What one row of a batch shows."""

    def caption(self, rng: random.Random) -> str: ...

    def picture(self, side: int) -> np.ndarray:
        """(side, side, 3) uint8, the same picture at any side."""
        ...


class Source(Protocol):
    """Where the rows come from; it travels to worker processes."""

    def subject(self, rng: random.Random, seed: int, number: int) -> Subject:
        """Of the row that is the `number`th of all steps."""
        ...

    def said(self, text: str, rng: random.Random) -> str:
        """The caption as it is learnt from."""
        ...


class Batches(Dataset[Batch]):
    """Item `step` is that step's batch.

    Args:
        side: of the pictures; low_side: of those that super-resolution starts from.
        crop: side of the square that is cut out of each picture, at a place that is a multiple of `align`.
        share: whose rows these are; the others' are chosen, for what is random, and not drawn.
    """

    def __init__(
        self,
        source: Source,
        seed: int,
        batch_size: int,
        side: int,
        steps: int,
        caption_dropout: float,
        low_side: int | None = None,
        crop: int | None = None,
        align: int = 1,
        share: Share = WHOLE,
    ) -> None:
        self.source = source
        self.seed, self.batch_size, self.side, self.low_side = seed, batch_size, side, low_side
        self.steps, self.caption_dropout = steps, caption_dropout
        self.crop, self.align = crop or side, align
        self.own = share.rows(batch_size)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        source, rng = self.source, random.Random(f"{self.seed}:{step}")
        captions, pictures, lows = [], [], []
        for row in range(self.batch_size):
            subject = source.subject(rng, self.seed, step * self.batch_size + row)
            text = "" if rng.random() < self.caption_dropout else subject.caption(rng)
            said = source.said(text, rng)
            places = (self.side - self.crop) // self.align
            top, left = (rng.randint(0, places) * self.align if places else 0 for _ in range(2))
            if row not in self.own:
                continue
            captions.append(said)
            pictures.append(cut(subject.picture(self.side), top, left, self.crop))
            if self.low_side is not None:
                scale = self.side // self.low_side
                lows.append(cut(subject.picture(self.low_side), top // scale, left // scale, self.crop // scale))
        low = torch.from_numpy(np.stack(lows)) if lows else None
        return Batch(captions, torch.from_numpy(np.stack(pictures)), low)


def cut(picture: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    return picture[top : top + side, left : left + side]


class DrawnSubject(NamedTuple):
    world: World
    scene: Any

    def caption(self, rng: random.Random) -> str:
        return self.world.caption(self.scene, rng)

    def picture(self, side: int) -> np.ndarray:
        return self.world.picture(self.scene, side)


@dataclass(frozen=True, slots=True)
class Drawings:
    """Drawings of the world of that name, never the same twice.

    Args:
        mix: shares of the kinds of scenes; None for the world's own.
    """

    world: str
    mix: dict[str, float] | None = None

    def subject(self, rng: random.Random, seed: int, number: int) -> Subject:
        world = find_world(self.world)  # found where it is used: worlds do not travel
        if self.mix is None:
            return DrawnSubject(world, world.scene(rng))
        (kind,) = rng.choices(list(self.mix), list(self.mix.values()))
        return DrawnSubject(world, world.kinds[kind](rng))

    def said(self, text: str, rng: random.Random) -> str:
        return with_unknown_words(text, rng)


class LoadedSubject(NamedTuple):
    captions: Sequence[str]
    image: Image.Image

    def caption(self, rng: random.Random) -> str:
        return rng.choice(self.captions)

    def picture(self, side: int) -> np.ndarray:
        return np.asarray(self.image.resize((side, side), Image.Resampling.BICUBIC))


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures from a disk: all of them once, in an order of the epoch's own, before any comes again.

    Args:
        pictures: of one side of the set.
        side: that is asked for; no picture is decoded much finer.
    """

    pictures: Sequence[Picture]
    side: int

    def subject(self, rng: random.Random, seed: int, number: int) -> Subject:
        count = len(self.pictures)
        for place in range(number, number + MOST_DAMAGED):  # the next one in turn stands in for a damaged one
            epoch, at = divmod(place, count)
            picture = self.pictures[epoch_order(seed, epoch, count)[at]]
            try:
                return LoadedSubject(picture.captions, picture.load(self.side))
            except OSError as damage:
                warnings.warn(f"{picture.path} ({picture.name}) is left out: {damage}", stacklevel=2)
        raise InvalidTrainingJob(
            f"data: {MOST_DAMAGED} pictures one after another cannot be read, the last: {picture.path} ({picture.name})"
        )

    def said(self, text: str, rng: random.Random) -> str:
        return text


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)


def with_unknown_words(text: str, rng: random.Random) -> str:
    """One caption in twelve gets one to three words that the vocabulary lacks."""
    if not text or rng.random() > 1 / 12:
        return text
    words = text.split()
    for _ in range(rng.randint(1, 3)):
        words.insert(rng.randint(0, len(words)), UNKNOWN_WORD)
    return " ".join(words)


def batches(data: Batches, first: int, workers: int) -> Iterator[Batch]:
    """The batches from step `first` on, made ahead by `workers` processes."""
    loader = DataLoader(
        data,
        sampler=range(first, data.steps),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=8 if workers else None,
    )
    return iter(loader)
