"""How far a model's pictures are from drawings that answer the same prompts, beside how far other drawings are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from PIL import Image

from imagen_model.distances import Features, frechet_distance, kernel_distance
from imagen_model.worlds import World

DRAWN_AT = 64  # pixels, of drawings where the world does not say at which side it reads pictures


@dataclasses.dataclass(frozen=True, slots=True)
class Distances:
    """Of the pictures of all questions from fresh drawings that answer them, and of other fresh drawings from these."""

    frechet: float
    kernel: float
    drawings_frechet: float
    drawings_kernel: float


@dataclasses.dataclass(frozen=True, slots=True)
class InceptionDistances:
    """FID and KID on the Inception of that name, of so many pictures from as many drawings."""

    name: str
    count: int
    distances: Distances

    def __str__(self) -> str:
        found = self.distances
        return (
            f"On Inception ({self.name}), {self.count:,} pictures: FID {found.frechet:.2f}, KID {found.kernel:.5f}; of "
            f"other drawings: {found.drawings_frechet:.2f}, {found.drawings_kernel:.5f}."
        )


def fresh_drawings(world: World, samples: int, seed: int) -> list[Image.Image]:
    """As `examine` asks for them, of another seed."""
    fresh = []
    for held_out in (False, True):
        for category in world.held_out_categories if held_out else world.categories:
            fresh += world.draw_answers(world.questions(category, samples, seed, held_out), world.side or DRAWN_AT)
    return fresh


def distances_between(
    pictures: list[Image.Image],
    drawings: list[Image.Image],
    fresh: list[Image.Image],
    features: Callable[[list[Image.Image]], Features],
) -> Distances:
    made, truth, again = (features(images) for images in (pictures, drawings, fresh))
    return Distances(
        frechet_distance(made, truth),
        kernel_distance(made, truth),
        frechet_distance(again, truth),
        kernel_distance(again, truth),
    )
