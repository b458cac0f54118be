"""Pictures on their way out: brought to the size asked for, and shown while they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from torch import Tensor

from .generation import GenerationRequest, Watcher
from .stages import StepWatcher

if TYPE_CHECKING:
    from .imagen import Imagen


def at_size(picture: np.ndarray, request: GenerationRequest, smooth: bool) -> Image.Image:
    """The picture at the size asked for.

    Smaller by averaging. Larger by Lanczos where `smooth`, which is for pictures of a super-resolution stage; those of
    a base keep their pixels, as the drawn world is made of whole cells.
    """
    size = (request.width or picture.shape[1], request.height or picture.shape[0])
    image = Image.fromarray(picture)
    if size[0] < image.width:
        return image.resize(size, Image.Resampling.BOX)
    return image.resize(size, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)


class Progress:
    """How far the pictures of one tile are, told to those who watch.

    Args:
        total: lines of the pixel decoder and steps of all stages, each counted as one.
        watchers: by row.
    """

    def __init__(self, total: int, requests: Sequence[GenerationRequest], watchers: Mapping[int, Watcher]) -> None:
        self.total, self.requests, self.watchers = total, requests, watchers
        self.before = 0  # what the stages before this one have done

    def line(self, model: Imagen, drawn: int, levels: Tensor) -> None:
        """After a line of the pixel decoder: what is not drawn yet is grey."""
        side = model.config.image_size
        self.before = drawn // side

        def paint(row: int) -> Image.Image:
            (picture,) = model.to_pictures(levels[row : row + 1])
            picture.reshape(-1, 3)[drawn:] = 128
            return at_size(picture, self.requests[row], smooth=False)

        for row, watcher in self.watchers.items():
            watcher(self.before / self.total, partial(paint, row))

    def of_stage(self, steps: int, smooth: bool) -> dict[int, StepWatcher]:
        """Watchers of the next stage's steps, who see the clean pictures as predicted; `smooth` as in `at_size`."""
        before, self.before = self.before, self.before + steps

        def told(row: int, done: int, clean: Callable[[], Tensor]) -> None:
            share = (before + done) / self.total
            self.watchers[row](share, lambda: at_size(clean().numpy(), self.requests[row], smooth))

        return {row: partial(told, row) for row in self.watchers}
