"""Random scenes: what the training set draws and what an evaluation asks for."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from .scene import (
    COLOURS,
    GRID,
    HELD_OUT,
    PLACES,
    RELATIONS,
    SHAPES,
    TIMES,
    DrawnObject,
    Landscape,
    ObjectScene,
    Scene,
    backgrounds_for,
)

SMALL = 6  # side of an object that shares the picture, in cells
HALVES = (1, 9)  # where it begins in the first and in the second half
Mix = dict[str, float]
MIX: Mix = {"single": 0.42, "pair": 0.26, "count": 0.18, "landscape": 0.14}
# More of what is hard: several objects, each with a look and a place of its own. Some stand exactly in the middle of
# their halves: where nothing but colours and shapes is left open, a model learns soonest which belongs to which.
COMPOSED_MIX: Mix = {"single": 0.15, "pair": 0.52, "even pair": 0.12, "count": 0.12, "landscape": 0.09}
SEEN_PAIRS = [(colour, shape) for colour in COLOURS for shape in SHAPES if (colour, shape) not in HELD_OUT]
HELD_OUT_PAIRS = sorted(HELD_OUT)


def random_scene(rng: random.Random, mix: Mix = MIX) -> Scene:
    """A scene of the training set, its kind in these shares; holds no pair of `HELD_OUT`."""
    return KINDS[rng.choices(list(mix), list(mix.values()))[0]](rng)


def even_pair(rng: random.Random) -> ObjectScene:
    first, second = two_looks(rng, SEEN_PAIRS)
    return even(pair(rng, first, second, rng.choice(RELATIONS)))


def random_background(rng: random.Random, colours: set[str]) -> str:
    """White for most, so that a caption that names no background has a usual one."""
    fit = backgrounds_for(colours)
    return "white" if "white" in fit and rng.random() < 0.6 else rng.choice(fit)


def single(rng: random.Random, look: tuple[str, str]) -> ObjectScene:
    colour, shape = look
    size = rng.choice((8, 10, 12))
    x, y = (near_middle(rng, GRID - size) for _ in range(2))
    return ObjectScene(random_background(rng, {colour}), (DrawnObject(shape, colour, x, y, size),))


def near_middle(rng: random.Random, margin: int) -> int:
    return min(max(round(rng.gauss(margin / 2, 1.0)), 0), margin)


def pair(rng: random.Random, first: tuple[str, str], second: tuple[str, str], relation: str) -> ObjectScene:
    """`first` stands in that relation to `second`, each in its own half of the picture."""
    objects = []
    for (colour, shape), leading in ((first, True), (second, False)):
        near = (relation in ("left of", "above")) == leading
        along = HALVES[0 if near else 1]
        across = near_middle(rng, GRID - SMALL)
        x, y = (along, across) if relation in ("left of", "right of") else (across, along)
        objects.append(DrawnObject(shape, colour, x, y, SMALL))
    return ObjectScene(random_background(rng, {first[0], second[0]}), tuple(objects))


def two_looks(rng: random.Random, looks: list[tuple[str, str]]) -> tuple[tuple[str, str], tuple[str, str]]:
    """Two of them that share neither colour nor shape."""
    first = rng.choice(looks)
    return first, rng.choice([look for look in looks if look[0] != first[0] and look[1] != first[1]])


def even(scene: ObjectScene) -> ObjectScene:
    """A pair on its middle line, on white where it can be."""
    side_by_side = {thing.x for thing in scene.objects} == set(HALVES)
    middle = (GRID - SMALL) // 2
    objects = [replace(thing, y=middle) if side_by_side else replace(thing, x=middle) for thing in scene.objects]
    fit = backgrounds_for({thing.colour for thing in scene.objects})
    return ObjectScene("white" if "white" in fit else "gray", tuple(objects))


def counted(rng: random.Random, look: tuple[str, str], count: int) -> ObjectScene:
    """`count` (1 to 4) objects of one look, one in each of the four quarters that is used."""
    colour, shape = look
    quarters = sorted(rng.sample(range(4), count))
    objects = [DrawnObject(shape, colour, HALVES[quarter % 2], HALVES[quarter // 2], SMALL) for quarter in quarters]
    return ObjectScene(random_background(rng, {colour}), tuple(objects))


def landscape(
    rng: random.Random, place: str | None = None, time: str | None = None, palms: bool | None = None
) -> Landscape:
    place = place or rng.choice(PLACES)
    time = time or rng.choice(TIMES)
    wanted = rng.random() < 0.6 if palms is None else palms
    columns: tuple[int, ...] = ()
    if place == "beach" and wanted:
        columns = rng.choice(((2,), (12,), (2, 12), (3, 13)))
    middle = rng.choice((7, 8)) if columns else rng.randint(4, 11)
    return Landscape(place, time, middle, columns)


# Scenes of the training set, by the names that mixes have for them.
KINDS: dict[str, Callable[[random.Random], Scene]] = {
    "single": lambda rng: single(rng, rng.choice(SEEN_PAIRS)),
    "pair": lambda rng: pair(rng, rng.choice(SEEN_PAIRS), rng.choice(SEEN_PAIRS), rng.choice(RELATIONS)),
    "even pair": even_pair,
    "count": lambda rng: counted(rng, rng.choice(SEEN_PAIRS), rng.choice((2, 3, 4))),
    "landscape": landscape,
}
