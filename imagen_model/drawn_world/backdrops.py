"""Places as coverage: what `sprites` does for an object's tones, for the layers of a landscape.

Weights do not depend on time or weather, which only change the layers' colours; so a landscape is one product of
remembered weights and a short list of colours.
"""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .outlines import Outline, Part, Tone, bend, ellipse, part, polygon, smooth, stroke
from .places import HORIZON, layers_of
from .scene import View
from .skies import CLOUD_LAYER, body_of, layer_colour
from .sprites import FULL, Weights, coverage, finer, lay, paint

SHEET = 100
OVERLAYS = {"rain": ("drop", 150), "snow": ("flake", 235), "fog": ("mist", 255)}


@lru_cache(maxsize=512)
def small_land(place: str, layout: int, body: str, side: int) -> tuple[tuple[str, ...], Weights]:
    return make_land(place, layout, body, side)


@lru_cache(maxsize=96)
def middle_land(place: str, layout: int, body: str, side: int) -> tuple[tuple[str, ...], Weights]:
    return make_land(place, layout, body, side)


def land(place: str, layout: int, body: str, side: int) -> tuple[tuple[str, ...], Weights]:
    """Names of a landscape's layers and their (side, side, layers) weights, which add up to 255 everywhere."""
    if side <= 64:
        return small_land(place, layout, body, side)
    if side <= 256:
        return middle_land(place, layout, body, side)
    return make_land(place, layout, body, side)


def make_land(place: str, layout: int, body: str, side: int) -> tuple[tuple[str, ...], Weights]:
    layers = layers_of(place, layout, body)
    names = list(dict.fromkeys(name for name, _ in layers))
    cells = finer(side)
    image = Image.new("L", (side * cells, side * cells), 1)
    paint(image, [(names.index(name) + 1, outlines) for name, outlines in layers], side * cells / SHEET)
    weights = coverage(np.asarray(image), cells, len(names))
    for name, (top, bottom) in {"sky": (0, HORIZON[place]), "water": (HORIZON[place], 72)}.items():
        if name in names:
            heights = (np.arange(side) + 0.5) * SHEET / side
            share = np.clip((heights - top) / (bottom - top), 0, 1)
            levels = np.floor(share * 256).astype(np.int64)[:, None]
            whole = weights[..., names.index(name)].astype(np.int64)
            low = whole * levels // 256
            weights[..., names.index(name)] = whole - low
            weights = np.concatenate((weights, low.astype(np.uint8)[..., None]), -1)
            names.append(f"{name} low")
    return tuple(names), weights


def palm_parts() -> tuple[Part, ...]:
    """A palm tree on the sheet, its crown at (50, 22)."""
    trunk = stroke(8, *bend((58, 100), (50, 72), (47, 48), (50, 24)))
    leaves = [
        smooth((50, 20), ((50 + x) / 2, (20 + y) / 2 - 12), (x, y), ((50 + x) / 2 - 2, (20 + y) / 2 - 1))
        for x, y in ((8, 22), (14, 46), (92, 22), (86, 46), (30, -2), (70, -2))
    ]
    nuts = [ellipse(46, 27, 4), ellipse(54, 28, 4)]
    return (
        part(Tone.WOOD, trunk),
        part(Tone.BODY, *leaves[:2], *leaves[2:4]),
        part(Tone.DARK, *leaves[4:]),
        part(Tone.WOOD, nuts),
    )


@lru_cache(maxsize=64)
def palm(pixels: int, mirrored: bool) -> Weights:
    """(pixels, pixels, 3) weights of leaves, shaded leaves and trunk."""
    cells = finer(pixels)
    label = {Tone.BODY: 1, Tone.DARK: 2, Tone.WOOD: 3}
    image = Image.new("L", (pixels * cells, pixels * cells))
    paint(image, [(label[one.tone], one.outlines) for one in palm_parts()], pixels * cells / SHEET)
    weights = coverage(np.asarray(image), cells, 3)
    return weights[:, ::-1] if mirrored else weights


def cloud_outlines(x: float, y: float, size: float) -> list[Outline]:
    puffs = ((-0.9, 0.1, 0.5), (-0.3, -0.25, 0.65), (0.4, -0.1, 0.55), (0.95, 0.15, 0.4))
    base = polygon((x - size, y), (x + size, y), (x + size, y + 0.5 * size), (x - size, y + 0.5 * size))
    return [base, *[ellipse(x + a * size, y + b * size, r * size) for a, b, r in puffs]]


@lru_cache(maxsize=128)
def overlay(weather: str, layout: int, side: int) -> Weights:
    """(side, side, 1) weights of clouds ("cloudy"), drops, flakes or mist."""
    rng = random.Random(f"{weather}:{layout}")
    if weather == "fog":
        heights = (np.arange(side) + 0.5) / side
        share = np.interp(heights, (0, 0.45, 0.7, 1), (0.2, 0.7, 0.55, 0.25))
        return np.broadcast_to(np.floor(share * FULL).astype(np.uint8)[:, None, None], (side, side, 1)).copy()
    outlines: list[Outline] = []
    if weather == "cloudy":
        for x in (8, 36, 64, 92):
            outlines += cloud_outlines(x + rng.uniform(-6, 6), rng.uniform(6, 20), rng.uniform(10, 15))
    elif weather == "rain":
        for row in range(9):
            for column in range(8):
                left, top = column * 13 + rng.uniform(-4, 8), row * 12 + rng.uniform(-5, 5)
                outlines.append(polygon((left, top), (left + 1.3, top), (left - 1.9, top + 8), (left - 3.2, top + 8)))
    else:
        for row in range(9):
            for column in range(9):
                left, top = column * 12 + rng.uniform(-4, 8), row * 12 + rng.uniform(-4, 8)
                outlines.append(ellipse(left, top, rng.choice((1.0, 1.3, 1.7))))
    cells = finer(side)
    image = Image.new("L", (side * cells, side * cells))
    paint(image, [(1, outlines)], side * cells / SHEET)
    weights = coverage(np.asarray(image), cells, 1)
    strength = 245 if weather == "cloudy" else OVERLAYS[weather][1]
    return (weights.astype(np.int64) * strength // FULL).astype(np.uint8)


def lay_land(view: View, side: int) -> NDArray[np.float32]:
    """The empty place, clouds and palms included, (side, side, 3) whole numbers."""
    names, weights = land(view.place, view.layout, body_of(view.place, view.time, view.weather), side)
    if view.flipped:
        weights = weights[:, ::-1]
    colours = np.asarray([layer_colour(name, view.place, view.time, view.weather) for name in names], np.float32)
    flat = weights.reshape(-1, len(names)).astype(np.float32) @ colours
    canvas = np.floor((flat.reshape(side, side, 3) + FULL // 2) / FULL)
    if view.weather in CLOUD_LAYER:
        lay_overlay(canvas, view, "cloudy", CLOUD_LAYER[view.weather])
    leaf = [layer_colour(name, "beach", view.time, view.weather) for name in ("palm leaf", "palm shade", "palm trunk")]
    for column in view.palms:
        pixels = side * 17 // 32
        lay(canvas, palm(pixels, column >= 10), leaf, column * side // 32 - pixels // 4, side * 10 // 32)
    return canvas


def lay_weather(canvas: NDArray[np.float32], view: View) -> None:
    """Rain, snow or fog over everything."""
    if view.weather in OVERLAYS:
        lay_overlay(canvas, view, view.weather, OVERLAYS[view.weather][0])


def lay_overlay(canvas: NDArray[np.float32], view: View, name: str, layer: str) -> None:
    weights = overlay(name, view.layout, canvas.shape[0])
    colour = layer_colour(layer, view.place, view.time, view.weather)
    lay(canvas, weights[:, ::-1] if view.flipped else weights, [colour], 0, 0)
