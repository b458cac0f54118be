"""How often a picture shows what was asked, judged without any learned model by a world's checker.

This is GenEval-style on drawn scenes and not GenEval (arXiv 2310.11513). Two ends of the scale belong to every score:
the drawings themselves, and the pictures of other prompts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from .generation import Failure, GenerationRequest, Generator

Verdict = dict[str, bool]


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, a scene (of the world that asks) that answers it, and the judge of a picture; `right` is the verdict's
    strict part."""

    prompt: str
    scene: Any
    judge: Callable[[Image.Image], Verdict]


@dataclass(frozen=True, slots=True)
class Score:
    """How many of `count` pictures were right, with Wilson's 95 % interval; `parts`: shares of the verdicts' parts."""

    category: str
    right: int
    count: int
    parts: dict[str, float]

    @property
    def share(self) -> float:
        return self.right / self.count

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.right, self.count)


def wilson(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share, 95 % at the default `z`."""
    share = right / count
    centre, spread = share + z * z / (2 * count), z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    whole = 1 + z * z / count
    return (max(0.0, (centre - spread) / whole), min(1.0, (centre + spread) / whole))


def score(category: str, asked: Sequence[Question], images: Sequence[Image.Image | None]) -> Score:
    """Judge the pictures; a picture that could not be made counts as wrong."""
    verdicts = [one.judge(image) if image is not None else {} for one, image in zip(asked, images, strict=True)]
    names = sorted({name for verdict in verdicts for name in verdict} - {"right"})
    parts = {name: sum(verdict.get(name, False) for verdict in verdicts) / len(asked) for name in names}
    return Score(category, sum(verdict.get("right", False) for verdict in verdicts), len(asked), parts)


def shuffled(images: Sequence[Image.Image]) -> list[Image.Image]:
    """The lower end: each question gets another question's picture, as if the prompt were not read."""
    half = max(1, len(images) // 2)
    return [*images[half:], *images[:half]]


def answer(
    generator: Generator, asked: Sequence[Question], seed: int, side: int | None, best_of: int | None = None
) -> list[Image.Image | None]:
    """A picture for each question, at `side` pixels where the generator makes that size, else at its default.

    Args:
        best_of: candidates for each picture, of which the generator keeps one.
    """
    made = side if side is not None and generator.rules.makes(side, side) else None
    requests = [
        GenerationRequest(one.prompt, (seed * 1_000_003 + index) % 2**32, width=made, height=made, best_of=best_of)
        for index, one in enumerate(asked)
    ]
    results = generator.generate(requests)
    return [None if isinstance(result, Failure) else result.image for result in results]
