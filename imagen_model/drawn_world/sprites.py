"""Outlines as coverage: for each pixel of a box, how much of it each tone covers, in whole 255ths.

Parts are painted as labels on a finer raster and averaged over each pixel's area, so tones share a pixel without
seams. Weights and colours are whole numbers, and their products stay below 2**24: float32 is exact, and the same
scene gives the same bytes on any machine, whatever its matrix library.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .kinds import OUTLINES
from .outlines import Outline, Part, Tone, fitted
from .palette import Colour

Weights = NDArray[np.uint8]
Labels = NDArray[np.uint8]
FULL = 255
TONES = len(Tone) - 1
# Width of a drawn line, in 32nds of the picture's side.
LINE_WIDTH = 0.38


def finer(pixels: int) -> int:
    """How many raster cells to a pixel: at least 4, and a raster of about 256 for small boxes."""
    return max(4, -(-256 // pixels))


def paint(labels: Image.Image, parts: Sequence[tuple[int, Sequence[Outline]]], scale: float) -> None:
    """Fill outlines (in unit coordinates) with their labels, in order; points are rounded to raster cells."""
    brush = ImageDraw.Draw(labels)
    for label, outlines in parts:
        for outline in outlines:
            brush.polygon([(round(x * scale - 0.5), round(y * scale - 0.5)) for x, y in outline], fill=label)


def coverage(labels: Labels, cells: int, count: int) -> Weights:
    """(height, width, count) weights of labels 1 to `count`; they and the uncovered rest add up to 255."""
    height, width = labels.shape[0] // cells, labels.shape[1] // cells
    blocks = labels.reshape(height, cells, width, cells)
    areas = [np.zeros((height, width), np.int64)]
    for label in range(1, count + 1):
        areas.append(areas[-1] + (blocks == label).sum((1, 3), dtype=np.int64))
    levels = (np.stack(areas, -1) * (2 * FULL) + cells * cells) // (2 * cells * cells)
    return np.diff(levels, axis=-1).astype(np.uint8)


def with_lines(labels: Labels, width: int) -> Labels:
    """Lines `width` cells wide where tones meet and along the inside of the silhouette."""
    reach = max(1, width)
    padded = np.pad(labels, reach)
    height, across = labels.shape
    edge = np.zeros(labels.shape, bool)
    around = [
        (round(reach * np.cos(a)), round(reach * np.sin(a))) for a in np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ]
    for down, right in sorted(set(around)):
        shifted = padded[reach + down : reach + down + height, reach + right : reach + right + across]
        # Between two tones the line lies on the side of the higher label alone: half as wide as on both.
        edge |= (shifted == 0) | ((shifted < labels) & (shifted != Tone.LINE))
    lined = labels.copy()
    lined[edge & (labels != 0) & (labels != Tone.INK)] = Tone.LINE
    return lined


@lru_cache(maxsize=256)
def outlines_of(kind: str, mirrored: bool) -> tuple[Part, ...]:
    parts = fitted(OUTLINES[kind])
    if not mirrored:
        return parts
    return tuple(Part(one.tone, tuple(tuple((1 - x, y) for x, y in o) for o in one.outlines)) for one in parts)


def make_sprite(kind: str, pixels: int, units: float, lined: bool, mirrored: bool) -> Weights:
    """(pixels, pixels, 7) weights of the tones `BODY` to `GREEN`; `units` is the box's side in 32nds of the picture."""
    cells = finer(pixels)
    image = Image.new("L", (pixels * cells, pixels * cells))
    paint(image, [(int(one.tone), one.outlines) for one in outlines_of(kind, mirrored)], pixels * cells)
    labels = np.asarray(image)
    if lined:
        labels = with_lines(labels, round(LINE_WIDTH * pixels * cells / units))
    return coverage(labels, cells, TONES)


small_sprite = lru_cache(maxsize=8192)(make_sprite)
middle_sprite = lru_cache(maxsize=512)(make_sprite)


def sprite(kind: str, pixels: int, units: float, lined: bool, mirrored: bool) -> Weights:
    """`make_sprite`, remembered while its boxes are small enough for a process to hold."""
    if pixels <= 32:
        return small_sprite(kind, pixels, units, lined, mirrored)
    if pixels <= 128:
        return middle_sprite(kind, pixels, units, lined, mirrored)
    return make_sprite(kind, pixels, units, lined, mirrored)


def lay(canvas: NDArray[np.float32], weights: Weights, colours: Sequence[Colour], x: int, y: int) -> None:
    """Paint weights over `canvas` (height, width, 3), whole numbers 0 to 255, with the upper left at (x, y).

    What lies outside the canvas is cut off.
    """
    height, width = canvas.shape[:2]
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + weights.shape[1], width), min(y + weights.shape[0], height)
    if left >= right or top >= bottom:
        return
    shown = weights[top - y : bottom - y, left - x : right - x].astype(np.float32)
    under = canvas[top:bottom, left:right]
    cover = shown.sum(-1, keepdims=True)
    painted = shown @ np.asarray(colours, np.float32)
    canvas[top:bottom, left:right] = np.floor((painted + under * (FULL - cover) + FULL // 2) / FULL)


@lru_cache(maxsize=4096)
def silhouette(kind: str, pixels: int, mirrored: bool = False) -> NDArray[np.float64]:
    """(pixels, pixels) share of each pixel that the kind covers, 0 to 1."""
    return make_sprite(kind, pixels, 32, False, mirrored).sum(-1) / FULL
