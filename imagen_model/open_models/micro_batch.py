"""How many rows a network runs on, always: the shape that decides a picture's last bits.

Out of memory halves it and is remembered, but only in the first run of its kind, before any picture of that kind was
made. Runs of a kind need the same memory whatever their rows say and whatever ran before (text states wait in the CPU's
memory), so on one kind of device, with nothing else on it, a number of rows fits always or never, and every worker
settles on the same one. Where the processes of a run can leave each other notes, the first that halved says so, and
those that begin later take its number, also where their own device has more to spare. Memory that runs out later was
taken by somebody else: then the same rows are tried once more, and fail rather than come out with other bits. `fast`
halves whenever it helps.
"""

from __future__ import annotations

import gc
import json
import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import torch

from ..devices import name_of
from ..generation import GenerationRequest
from ..notes import Notes
from .options import ModelOptions
from .running import RunShape

T = TypeVar("T")
# Pixels of a picture up to which a GPU gains from so many rows together (peers' figures: 16 at 512x512, none at 1024).
GPU_ROWS = ((512 * 512, 8), (768 * 768, 4), (1024 * 1024, 2))


class Crowded(Exception):
    """Rows that fitted before do no longer; the message names the remedy."""


def default_rows(options: ModelOptions, device: torch.device, width: int, height: int, alone: bool = False) -> int:
    """The user's number, or the device's: a CPU gains little from more than one row, and a lone one need not pay.

    Args:
        alone: the pipeline's rows are never run together.
    """
    if alone:
        return 1
    if isinstance(options.micro_batch, int):
        return options.micro_batch
    if device.type == "cpu":
        return 1
    return next((rows for pixels, rows in GPU_ROWS if width * height <= pixels), 1)


class MicroBatch:
    """The numbers of rows that one process has settled on, by what decides a run's memory."""

    def __init__(self, options: ModelOptions, device: torch.device, alone: bool = False) -> None:
        self.options, self.device, self.alone = options, device, alone
        self.halved: dict[Hashable, int] = {}
        self.settled: set[Hashable] = set()
        self.notes: Notes | None = None  # none are needed where bits do not count
        self.looked_up: set[Hashable] = set()

    def rows(self, shape: RunShape) -> int:
        most = self.wanted(shape)
        if self.notes is not None and most > 1 and shape.memory not in self.looked_up:
            self.looked_up.add(shape.memory)
            noted = self.notes.read(self.kind(shape))
            if noted is not None and noted < most:
                self.halved[shape.memory] = noted
        return self.halved.get(shape.memory) or most

    def wanted(self, shape: RunShape) -> int:
        """Where memory does."""
        return default_rows(self.options, self.device, shape.width, shape.height, self.alone)

    def kind(self, shape: RunShape) -> str:
        """Under which others find what this process settled on."""
        return json.dumps([name_of(self.device), self.wanted(shape), shape.memory])

    def run(
        self,
        requests: Sequence[GenerationRequest],
        shape: RunShape,
        draw: Callable[[list[GenerationRequest]], list[T]],
    ) -> list[T]:
        """What `draw` gives for the requests, called on the settled number of rows; in several calls where that
        number shrinks meanwhile.

        Raises:
            Crowded: the memory does not do any longer, as above.
            MemoryError, torch.OutOfMemoryError: it never did, not even for one row.
        """
        kind = shape.memory
        found: list[T] = []
        tried_again = False
        while len(found) < len(requests):
            rows = self.rows(shape)
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
                if kind not in self.settled and self.agreed(shape, rows) < rows:
                    continue  # another process was there first, with fewer
                self.settled.add(kind)
                found += drawn[: len(chosen)]
                continue
            free(self.device)
            if rows > 1 and (self.options.fast or kind not in self.settled):
                self.halve(shape, rows)
            elif kind not in self.settled:
                raise trouble
            elif tried_again:
                raise Crowded(crowded(shape, rows)) from trouble
            else:
                tried_again = True
        return found

    def agreed(self, shape: RunShape, rows: int) -> int:
        """The number that counts for this kind of run, of which one fitted; noted if it took halving."""
        if self.notes is None or shape.memory not in self.halved:
            return rows
        found = self.notes.write(self.kind(shape), rows)
        self.halved[shape.memory] = min(rows, found)
        return self.halved[shape.memory]

    def halve(self, shape: RunShape, rows: int) -> None:
        self.halved[shape.memory] = rows // 2
        warnings.warn(
            f"{rows} rows of {shape.width}x{shape.height} pixels do not fit into the memory of {self.device}, so "
            f"{rows // 2} are run together; --micro-batch {rows // 2} holds that for every device of a job",
            stacklevel=2,
        )


def crowded(shape: RunShape, rows: int) -> str:
    smaller = f", or run the job anew with --micro-batch {rows // 2}" if rows > 1 else ""
    return (
        f"{rows} rows of {shape.width}x{shape.height} pixels fitted into memory before, but not now: something else "
        f"takes it, and fewer rows would change the picture's last bits; run imagegen retry once it is free{smaller}"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """A CPU's allocator says it with a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
