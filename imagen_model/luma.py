"""Pictures of a given luma: which colours the pixel decoder may draw, and the same for finished pictures.

Luma is ITU-R BT.601's as Pillow's "L" computes it: (19595 R + 38470 G + 7471 B + 2**15) >> 16.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .decoding import Allowed

RED, GREEN, BLUE, HALF = 19_595, 38_470, 7_471, 2**15


def luma(values: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 -> (...) int64, 0 to 255."""
    red, green, blue = np.moveaxis(values.astype(np.int64), -1, 0)
    return (RED * red + GREEN * green + BLUE * blue + HALF) >> 16


class LumaMasks:
    """The colours with which each pixel has its grey value.

    A luma counts as reached within the most that a level's value differs from a value which it stands for (for 32
    levels: 7 of 255), so that the model's own form of any colour of that luma is among them; where no colour comes that
    near, the nearest luma that there is counts.

    Args:
        grey: (positions,) int64, 0 to 255.
        values: (levels,) int64, ascending: the 8-bit value of each level.
    """

    def __init__(self, grey: Tensor, values: Tensor, device: torch.device) -> None:
        self.grey, self.values, self.device = grey.tolist(), values.cpu(), device
        self.tolerance = self.tolerances().tolist()
        self.known: dict[int, Allowed] = {}

    def tolerances(self) -> Tensor:
        """(256,) int64: how far from each grey value a luma may be."""
        pairs = (RED * self.values[:, None] + GREEN * self.values).flatten()
        found = torch.zeros(256, dtype=torch.bool)
        for blue in self.values:
            found[(pairs + BLUE * blue + HALF) >> 16] = True
        reached = found.nonzero()[:, 0]
        nearest = (torch.arange(256)[:, None] - reached).abs().amin(dim=1)
        every = torch.arange(256)
        error = (every - self.values[every * len(self.values) // 256]).abs().max()
        return nearest.clamp(min=int(error))

    def __call__(self, position: int) -> Allowed:
        """As `decoding.decode` asks for it."""
        grey = self.grey[position]
        if grey not in self.known:
            self.known[grey] = self.colours(grey)
        return self.known[grey]

    def colours(self, grey: int) -> Allowed:
        # In units of 2**-16: low <= 19595 R + 38470 G + 7471 B < high.
        low = ((grey - self.tolerance[grey]) << 16) - HALF
        high = ((grey + self.tolerance[grey] + 1) << 16) - HALF
        before, blues = RED * self.values[:, None] + GREEN * self.values, BLUE * self.values
        some = torch.searchsorted(blues, high - before) > torch.searchsorted(blues, low - before)
        red, green = some.nonzero(as_tuple=True)
        reached = before[red, green][:, None] + blues
        blue = (reached >= low) & (reached < high)
        return Allowed(red.to(self.device), green.to(self.device), blue.to(self.device))


def with_luma(picture: Image.Image, grey: Image.Image) -> Image.Image:
    """The RGB picture's colours in the "L" picture's luma, of the same size, to within 1 of 255.

    A colour moves along the line to grey, on which luma does not change, as far as it must to exist.
    """
    wanted = np.asarray(grey, np.float64)[..., None]
    colours = np.asarray(picture, np.float64)
    chroma = colours - colours @ np.array([[RED], [GREEN], [BLUE]]) / 2**16
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(chroma > 0, 255 - wanted, wanted) / np.abs(chroma)
    share = np.minimum(np.where(chroma == 0, 1.0, room).min(axis=-1, keepdims=True), 1.0)
    return Image.fromarray(np.clip(np.rint(wanted + share * chroma), 0, 255).astype(np.uint8))
