"""How many rows a network runs on, always: the shape that decides a picture's last bits.

Out of memory halves it and is remembered for the size, but only before any picture of that size was made. A run of the
full number of rows needs the same memory whatever the rows say, so on one kind of device it fits always or never, and
every worker of a job settles on the same number. Memory that runs out later was taken by somebody else: then the same
rows are tried once more, and fail rather than come out with other bits. `fast` halves whenever it helps.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from ..generation import GenerationRequest
from .options import ModelOptions

T = TypeVar("T")
# Pixels of a picture up to which a GPU gains from so many rows together (peers' figures: 16 at 512x512, none at 1024).
GPU_ROWS = ((512 * 512, 8), (768 * 768, 4), (1024 * 1024, 2))


def default_rows(options: ModelOptions, device: torch.device, width: int, height: int) -> int:
    """The user's number, or the device's: a CPU gains little from more than one row, and a lone one need not pay."""
    if isinstance(options.micro_batch, int):
        return options.micro_batch
    if device.type == "cpu":
        return 1
    return next((rows for pixels, rows in GPU_ROWS if width * height <= pixels), 1)


class MicroBatch:
    """The numbers of rows that one process has settled on, by size."""

    def __init__(self, options: ModelOptions, device: torch.device) -> None:
        self.options, self.device = options, device
        self.halved: dict[tuple[int, int], int] = {}
        self.settled: set[tuple[int, int]] = set()

    def rows(self, width: int, height: int) -> int:
        return self.halved.get((width, height)) or default_rows(self.options, self.device, width, height)

    def run(
        self,
        requests: Sequence[GenerationRequest],
        size: tuple[int, int],
        draw: Callable[[list[GenerationRequest]], list[T]],
    ) -> list[T]:
        """What `draw` gives for the requests, called on the settled number of rows; in several calls where that
        number shrinks meanwhile.

        Raises:
            MemoryError, torch.OutOfMemoryError: the memory does not do, as above.
        """
        found: list[T] = []
        tried_again = False
        while len(found) < len(requests):
            rows = self.rows(*size)
            chosen = list(requests[len(found) : len(found) + rows])
            filled = chosen if self.options.fast else chosen + [chosen[-1]] * (rows - len(chosen))
            trouble = None
            try:
                drawn = draw(filled)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                trouble = error.with_traceback(None)  # whose frames hold what the device is short of
            if trouble is None:
                self.settled.add(size)
                found += drawn[: len(chosen)]
                continue
            free(self.device)
            may_shrink = rows > 1 and (self.options.fast or size not in self.settled)
            if may_shrink:
                self.halved[size] = rows // 2
            elif tried_again or size not in self.settled:
                raise trouble
            else:
                tried_again = True
        return found


def is_out_of_memory(error: BaseException) -> bool:
    """A CPU's allocator says it with a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
