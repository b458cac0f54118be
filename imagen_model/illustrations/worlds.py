"""Random scenes: what the training set draws and what an evaluation asks for."""

from __future__ import annotations

import random

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

HALF = GRID // 2
MIX: tuple[tuple[str, float], ...] = (("single", 0.32), ("pair", 0.30), ("count", 0.20), ("landscape", 0.18))
KINDS = [kind for kind, _ in MIX]
WEIGHTS = [weight for _, weight in MIX]
SEEN_PAIRS = [(colour, shape) for colour in COLOURS for shape in SHAPES if (colour, shape) not in HELD_OUT]
HELD_OUT_PAIRS = sorted(HELD_OUT)


def random_scene(rng: random.Random) -> Scene:
    """A scene of the training set; holds no pair of `HELD_OUT`."""
    match rng.choices(KINDS, WEIGHTS)[0]:
        case "single":
            return single(rng, rng.choice(SEEN_PAIRS))
        case "pair":
            return pair(rng, rng.choice(SEEN_PAIRS), rng.choice(SEEN_PAIRS), rng.choice(RELATIONS))
        case "count":
            return counted(rng, rng.choice(SEEN_PAIRS), rng.choice((2, 3, 4)))
    return landscape(rng)


def random_background(rng: random.Random, colours: set[str]) -> str:
    """White for most, so that a caption that names no background has a usual one."""
    fit = backgrounds_for(colours)
    return "white" if "white" in fit and rng.random() < 0.6 else rng.choice(fit)


def single(rng: random.Random, look: tuple[str, str]) -> ObjectScene:
    colour, shape = look
    size = rng.choice((7, 8, 9, 10, 11, 12))
    margin = GRID - size
    x, y = (min(max(round(rng.gauss(margin / 2, 1.2)), 0), margin) for _ in range(2))
    return ObjectScene(random_background(rng, {colour}), (DrawnObject(shape, colour, x, y, size),))


def pair(rng: random.Random, first: tuple[str, str], second: tuple[str, str], relation: str) -> ObjectScene:
    """`first` stands in that relation to `second`; both keep clear of each other by a cell at least."""
    offset = rng.randint(0, GRID - 7)  # where the two stand on the axis that the relation leaves free
    objects = []
    for (colour, shape), leading in ((first, True), (second, False)):
        size = rng.choice((6, 7))
        near = (relation in ("left of", "above")) == leading
        along = rng.randint(0, 7 - size) if near else HALF + 1 - rng.randint(0, 1) + (7 - size)
        along = min(along, GRID - size)
        across = min(max(offset + rng.choice((-1, 0, 0, 1)), 0), GRID - size)
        x, y = (along, across) if relation in ("left of", "right of") else (across, along)
        objects.append(DrawnObject(shape, colour, x, y, size))
    return ObjectScene(random_background(rng, {first[0], second[0]}), tuple(objects))


def counted(rng: random.Random, look: tuple[str, str], count: int) -> ObjectScene:
    """`count` (1 to 4) objects of one look, one in each of the four quarters that is used."""
    colour, shape = look
    size = rng.choice((6, 7))
    quarters = sorted(rng.sample(range(4), count))
    objects = []
    for quarter in quarters:
        x, y = (HALF * cell + rng.randint(0, 7 - size) for cell in (quarter % 2, quarter // 2))
        objects.append(DrawnObject(shape, colour, x, y, size))
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
