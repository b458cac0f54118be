"""Drawing a scene by asking of every pixel's centre what lies there: exact at 16x16, the same scene at any size.

No anti-aliasing: at 16x16 each pixel is wholly one thing, which is what a young pixel decoder can learn and
what the checker can read back without doubt.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .scene import BACKGROUNDS, COLOURS, GRID, DrawnObject, Landscape, Scene

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Colour = tuple[int, int, int]

SKIES: dict[str, tuple[Colour, Colour]] = {  # at the top, at the horizon
    "day": ((90, 160, 235), (190, 225, 250)),
    "sunset": ((100, 50, 130), (255, 150, 70)),
    "night": ((10, 15, 45), (40, 45, 100)),
}
CELESTIAL: dict[str, Colour] = {"day": (255, 235, 80), "sunset": (255, 225, 100), "night": (235, 235, 225)}
SEA: dict[str, Colour] = {"day": (30, 110, 190), "sunset": (130, 70, 120), "night": (20, 40, 90)}
GROUND: dict[str, dict[str, Colour]] = {
    "beach": {"day": (240, 215, 150), "sunset": (225, 165, 105), "night": (110, 95, 80)},
    "mountains": {"day": (85, 120, 75), "sunset": (80, 75, 55), "night": (25, 45, 40)},
    "meadow": {"day": (90, 185, 70), "sunset": (120, 135, 40), "night": (25, 75, 45)},
    "snow": {"day": (245, 250, 255), "sunset": (245, 205, 205), "night": (150, 165, 205)},
}
ROCK: dict[str, Colour] = {"day": (125, 125, 135), "sunset": (105, 75, 95), "night": (55, 55, 80)}
SNOW_CAP: dict[str, Colour] = {"day": (245, 248, 252), "sunset": (250, 200, 180), "night": (160, 165, 195)}
LEAVES: dict[str, Colour] = {"day": (20, 110, 40), "sunset": (30, 60, 30), "night": (5, 40, 20)}
TRUNK: dict[str, Colour] = {"day": (120, 80, 45), "sunset": (75, 40, 30), "night": (35, 25, 20)}
FLOWER: dict[str, Colour] = {"day": (245, 90, 130), "sunset": (210, 70, 90), "night": (120, 60, 110)}
HORIZON = {"beach": 9, "mountains": 12, "meadow": 10, "snow": 10}


def draw(scene: Scene, side: int = GRID) -> Picture:
    """The scene as (side, side, 3) uint8 RGB.

    Raises:
        ValueError: `side` is not a positive multiple of 16, so cells would be cut by pixels.
    """
    if side <= 0 or side % GRID:
        raise ValueError(f"side must be a positive multiple of {GRID}, got {side}")
    if isinstance(scene, Landscape):
        return draw_landscape(scene, side)
    picture = np.empty((side, side, 3), np.uint8)
    picture[:] = BACKGROUNDS[scene.background]
    for thing in scene.objects:
        paint_object(picture, thing, side // GRID)
    return picture


def paint_object(picture: Picture, thing: DrawnObject, scale: int) -> None:
    left, top, size = thing.x * scale, thing.y * scale, thing.size * scale
    window = picture[top : top + size, left : left + size]
    window[silhouette(thing.shape, size, size)] = COLOURS[thing.colour]


@lru_cache(maxsize=4096)
def silhouette(shape: str, width: int, height: int) -> Mask:
    """Which pixels of a (height, width) box the shape covers."""
    u = ((np.arange(width) + 0.5) * 2 / width - 1)[None, :]
    v = ((np.arange(height) + 0.5) * 2 / height - 1)[:, None]
    u, v = np.broadcast_arrays(u, v)
    # The box is touched on all four sides by every shape, so that a bounding box read back is the box drawn.
    match shape:
        case "circle":
            return u**2 + v**2 <= 0.98
        case "square":
            return np.ones((height, width), bool)
        case "triangle":
            return np.abs(u) <= (v + 1) / 2 + 0.13
        case "cross":
            return (np.abs(u) <= 0.34) | (np.abs(v) <= 0.34)
        case "heart":
            body = np.where(v < -0.1, np.abs(u) <= 1, np.abs(u) <= (1 - v) / 1.15 + 0.04)
            notch = (v < -0.7) & (np.abs(u) < 0.25)
            corners = (v < -0.7) & (np.abs(u) > 0.78)
            return body & ~notch & ~corners
        case "ring":
            distance = u**2 + v**2
            return (distance <= 0.98) & (distance >= 0.28)
    raise ValueError(f"no shape called {shape!r}")


def draw_landscape(scene: Landscape, side: int) -> Picture:
    time, place = scene.time, scene.place
    centres = (np.arange(side) + 0.5) * GRID / side
    x, y = np.meshgrid(centres, centres)
    horizon = HORIZON[place]
    picture = sky(time, horizon, y)
    height = 3.0 if time != "sunset" else horizon - 1.0
    disc = (x - scene.celestial_x - 0.5) ** 2 + (y - height - 0.5) ** 2 <= (5.5 if time != "night" else 2.6)
    picture[disc] = CELESTIAL[time]
    if place == "mountains":
        paint_mountains(picture, x, y, time, horizon)
    if place == "beach":
        picture[y >= horizon] = SEA[time]
        picture[y >= 12] = GROUND[place][time]
    else:
        picture[y >= horizon] = GROUND[place][time]
    if place == "meadow":
        picture[(np.floor(y) == 13) & (np.floor(x) % 4 == 1)] = FLOWER[time]
    if place == "snow":
        for column, base in ((2, 13), (12, 14)):
            # A fir: a narrow triangle on the snow.
            picture[(np.abs(x - column - 0.5) <= (y - base + 6) / 2.2) & (y < base) & (y > base - 6)] = LEAVES[time]
    for column in scene.palms:
        paint_palm(picture, x, y, time, column)
    return picture


def sky(time: str, horizon: int, y: NDArray[np.float64]) -> Picture:
    """A sky that changes evenly, row of cells by row of cells, from the top to the horizon."""
    top, low = (np.asarray(colour, float) for colour in SKIES[time])
    share = np.clip(np.floor(y) / (horizon - 1), 0, 1)[..., None]
    return np.rint(top + (low - top) * share).astype(np.uint8)


def paint_mountains(picture: Picture, x: NDArray[np.float64], y: NDArray[np.float64], time: str, horizon: int) -> None:
    for peak_x, peak_y in ((4.5, 5.0), (11.5, 3.0)):
        rock = (np.abs(x - peak_x) <= (y - peak_y) * 0.75) & (y < horizon)
        picture[rock] = ROCK[time]
        picture[rock & (y < peak_y + 3)] = SNOW_CAP[time]


def paint_palm(picture: Picture, x: NDArray[np.float64], y: NDArray[np.float64], time: str, column: int) -> None:
    trunk = (np.floor(x) == column) & (y >= 6) & (y < 14)
    picture[trunk] = TRUNK[time]
    spread = np.abs(x - column - 0.5)
    crown = (
        ((np.floor(y) == 4) & (spread < 2))
        | ((np.floor(y) == 5) & (spread < 3))
        | ((np.floor(y) == 6) & (spread < 3) & (spread > 1.4))
    )
    picture[crown] = LEAVES[time]
