"""Drawing a scene at any side that is a multiple of 16, anti-aliased by area; the same bytes on any machine."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .backdrops import lay_land, lay_weather
from .palette import BACKGROUNDS, CHALK, COLOURS, DARK_BACKGROUNDS, INK, PAPER, Colour, dark_tone, tones
from .scene import GRID, Scene, Still, Thing, View
from .sprites import FULL, lay, sprite

Picture = NDArray[np.uint8]
SMALLEST_SIDE, LARGEST_SIDE, STEP = 16, 1024, 16
TEXTURES, TEXTURE_SIDE = 6, 256
# How much of a crayon's stroke lets the paper through, in 255ths.
THINNEST_STROKE = 90


def draw(scene: Scene, side: int = GRID) -> Picture:
    """The scene as (side, side, 3) uint8 RGB.

    Raises:
        ValueError: `side` is not a multiple of 16 from 16 to 1024.
    """
    if side % STEP or not SMALLEST_SIDE <= side <= LARGEST_SIDE:
        raise ValueError(f"side must be a multiple of {STEP} from {SMALLEST_SIDE} to {LARGEST_SIDE}, got {side}")
    if side % GRID:
        # Places are whole pixels only at multiples of 32: draw twice as fine and average.
        finer = draw(scene, side * 2).astype(np.int64)
        return ((finer[0::2, 0::2] + finer[1::2, 0::2] + finer[0::2, 1::2] + finer[1::2, 1::2] + 2) // 4).astype(
            np.uint8
        )
    if isinstance(scene, Still):
        paper = BACKGROUNDS[scene.background]
        ink = CHALK if scene.background in DARK_BACKGROUNDS else INK
        canvas = np.empty((side, side, 3), np.float32)
        canvas[:] = paper
    else:
        paper, ink = PAPER, INK
        canvas = lay_land(scene, side)
        if scene.weather == "fog":  # Things stand before the fog, where their colours can be told.
            lay_weather(canvas, scene)
    for thing in scene.things:
        lay_thing(canvas, thing, scene.style, ink)
    if isinstance(scene, View) and scene.weather != "fog":
        lay_weather(canvas, scene)
    if scene.style == "crayon":
        strokes = texture(scene.seed % TEXTURES, side)[..., None]
        canvas = np.floor((canvas * (FULL - strokes) + np.asarray(paper, np.float32) * strokes + FULL // 2) / FULL)
    return canvas.astype(np.uint8)


def lay_thing(canvas: NDArray[np.float32], thing: Thing, style: str, ink: Colour) -> None:
    scale = canvas.shape[0] // GRID
    colour = COLOURS[thing.colour]
    line = dark_tone(colour) if style == "crayon" else ink
    weights = sprite(thing.kind, thing.size * scale, thing.size, style != "flat", thing.mirrored)
    lay(canvas, weights, tones(colour, ink, line), thing.x * scale, thing.y * scale)


@lru_cache(maxsize=64)
def texture(number: int, side: int) -> NDArray[np.float32]:
    """(side, side) whole numbers 0 to `THINNEST_STROKE`: slanting strokes of a crayon on grainy paper."""
    rng = random.Random(f"crayon:{number}")
    noise = np.frombuffer(rng.randbytes(TEXTURE_SIDE**2), np.uint8).reshape(TEXTURE_SIDE, TEXTURE_SIDE).astype(np.int64)
    down, right = rng.choice(((1, 1), (1, -1), (1, 2), (2, 1), (2, -1), (1, -2)))
    # Averaging along one direction makes strokes of noise; what stays is the part above its middle.
    strokes = sum(np.roll(noise, (down * step, right * step), (0, 1)) for step in range(24)) // 24
    thin = np.clip((strokes - 112) * 3 // 2 + (noise - 128) // 10, 0, THINNEST_STROKE).astype(np.uint8)
    sized = Image.fromarray(thin).resize((side, side), Image.Resampling.BOX)
    return np.asarray(sized).astype(np.float32)
