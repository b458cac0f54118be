"""Reading a landscape: the nearest of all the places, skies and layouts that can be drawn, then palms and things."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .checker import Floats, Picture, SeenThing, things_before, to_floats
from .drawing import TEXTURES, draw, texture
from .palette import PAPER
from .scene import GRID, LAYOUTS, PLACES, SKIES, View
from .sprites import FULL

PALMS: tuple[tuple[int, ...], ...] = ((), (3,), (14,), (3, 13), (1, 15), (2, 14))
COARSE = 16
SHORTLIST = 12
# Share of cells left out of the distance: things may cover that much.
COVERED = 0.2
# A cell counts as at most this far off, so that a thing does not outweigh the place.
FARTHEST = 90.0
# What differs by less from the place as drawn is not a thing: light rain and the grain of crayons stay below.
LEAST_THING_DIFFERENCE = 52.0


@dataclass(frozen=True, slots=True)
class SeenView:
    """`distance` is the mean distance in RGB from the nearest drawing of a place: small where there is one."""

    place: str
    time: str
    weather: str
    palms: bool
    style: str
    distance: float
    things: tuple[SeenThing, ...]


@lru_cache(maxsize=1)
def catalogue() -> tuple[list[View], NDArray[np.float32]]:
    """Every empty place under every sky in every layout, plain and in crayon, and their (n, 16, 16, 3) pictures."""
    views = [
        View(place, time, weather, layout, flipped)
        for place in PLACES
        for time, weather in SKIES[place]
        for layout in range(LAYOUTS)
        for flipped in (False, True)
    ]
    plain = np.stack([shrunk(draw(view).astype(np.float64), COARSE) for view in views])
    rubbed = plain + (np.asarray(PAPER) - plain) * float(texture(0, GRID).mean()) / FULL
    crayons = [replace(view, style="crayon") for view in views]
    return [*views, *crayons], np.concatenate((plain, rubbed)).astype(np.float32)


def shrunk(pixels: Floats, side: int) -> Floats:
    cells = pixels.shape[0] // side
    return pixels.reshape(side, cells, side, cells, 3).mean((1, 3))


def off(shown: Floats, drawn: Floats) -> float:
    """Mean distance in RGB of two pictures of one size, each cell's counted as `FARTHEST` at most."""
    return float(np.minimum(np.sqrt(((shown - drawn) ** 2).sum(-1)), FARTHEST).mean())


def read_view(picture: Picture, with_things: bool = True) -> SeenView:
    """The landscape that a picture shows; things are looked for only when asked."""
    pixels = to_floats(picture)
    small = shrunk(pixels, GRID)
    views, pictures = catalogue()
    distances = np.sqrt(((pictures - shrunk(pixels, COARSE).astype(np.float32)) ** 2).sum(-1)).reshape(len(views), -1)
    kept = round(distances.shape[1] * (1 - COVERED))
    rough = np.partition(distances, kept - 1, axis=1)[:, :kept].mean(1)
    near = [views[index] for index in np.argsort(rough)[:SHORTLIST].tolist()]
    best, view = nearest(small, [one for view in near for one in textured(view)])
    if view.place == "beach":
        best, view = nearest(small, [replace(view, palms=palms) for palms in PALMS])
    things: list[SeenThing] = []
    if with_things:
        things = things_before(pixels, as_sharp(pixels, view), LEAST_THING_DIFFERENCE)
    style = view.style if view.style == "crayon" or not things else things[0].style
    return SeenView(view.place, view.time, view.weather, bool(view.palms), style, best, tuple(things))


def textured(view: View) -> list[View]:
    """The view with each of the crayon's textures, or alone."""
    return [replace(view, seed=seed) for seed in range(TEXTURES)] if view.style == "crayon" else [view]


def nearest(shown: Floats, views: list[View]) -> tuple[float, View]:
    return min(((off(shown, draw(view).astype(np.float64)), view) for view in views), key=lambda pair: pair[0])


def as_sharp(pixels: Floats, view: View) -> Floats:
    """The view drawn at the picture's size, or drawn at 32 and made larger where that is nearer to the picture."""
    sharp = draw(view, pixels.shape[0]).astype(np.float64)
    if pixels.shape[0] == GRID:
        return sharp
    large = Image.fromarray(draw(view)).resize((256, 256), Image.Resampling.BICUBIC)
    soft = np.asarray(large.resize(pixels.shape[:2], Image.Resampling.BOX), np.float64)
    return min((sharp, soft), key=lambda drawn: off(pixels, drawn))
