"""Which micro-batch is worth its size: images a second and memory of growing ones, measured on the device itself.

Batching often gives nothing (at 1024x1024 a GPU is full with one picture), and a larger micro-batch costs memory, fill
and a lone picture's time. So the smallest is taken that comes within 3 % of the best. A picture's time is what comes
once (texts, decoding) and as many steps as are asked for; the two are told apart by runs of two lengths.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..devices import choose_device, name_of
from ..generation import GenerationRequest, Generator
from .generator import DiffusersGenerator
from .micro_batch import free, is_out_of_memory

WITHIN = 0.97  # of the best rate
ROUNDS = 3  # timed runs of each size, after one that warms up; the median counts
SHORT, LONG = 2, 5  # steps of the timed runs
LARGEST = 16


@dataclass(frozen=True, slots=True)
class Measured:
    """Args:
    rows: of the micro-batch.
    images_per_second: with the steps that were asked for.
    peak_bytes: of the GPU's memory; None on a CPU.
    """

    rows: int
    images_per_second: float
    peak_bytes: int | None


def measure(
    generator: Generator, width: int, height: int, steps: int | None = None, largest: int = LARGEST
) -> list[Measured]:
    """Micro-batches of 1, 2, 4, ... rows at one size, until memory runs out or `largest` is reached.

    Args:
        steps: of a picture; None for the model's own number.

    Raises:
        InvalidRequest: the model does not make that size.
        TypeError: it is no diffusers model.
    """
    if not isinstance(generator, DiffusersGenerator):
        raise TypeError("only diffusers models have a micro-batch to choose")
    wanted = GenerationRequest("a photograph of a red fox", 0, width=width, height=height, num_inference_steps=steps)
    request = generator.rules.resolve(wanted)
    found: list[Measured] = []
    rows, largest = 1, 1 if generator.micro_batches.alone else largest
    while rows <= largest:
        try:
            if generator.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(generator.device)
            seconds = seconds_of(generator, request, rows)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            free(generator.device)
            break
        peak = torch.cuda.max_memory_allocated(generator.device) if generator.device.type == "cuda" else None
        found.append(Measured(rows, rows / seconds, peak))
        rows *= 2
    return found


def seconds_of(generator: DiffusersGenerator, request: GenerationRequest, rows: int) -> float:
    """Of one run of so many rows with the request's steps."""
    steps = request.num_inference_steps
    if steps is None or steps <= LONG:
        return timed(generator, request, rows)
    short, long = (timed(generator, replace(request, num_inference_steps=few), rows) for few in (SHORT, LONG))
    return short + (steps - SHORT) * max(0.0, long - short) / (LONG - SHORT)


def timed(generator: DiffusersGenerator, request: GenerationRequest, rows: int) -> float:
    """Median of the rounds, after a run that warms up."""
    requests, shape = [request] * rows, generator.group_key(request)
    found = []
    for _ in range(1 + ROUNDS):
        began = time.perf_counter()
        generator.run(requests, shape)
        found.append(time.perf_counter() - began)
    return statistics.median(found[1:])


def choose(found: Sequence[Measured]) -> int:
    """Rows of the smallest micro-batch within 3 % of the best; 1 where nothing fitted."""
    best = max((one.images_per_second for one in found), default=0.0)
    return next((one.rows for one in found if one.images_per_second >= WITHIN * best), 1)


def device_name(device: str) -> str:
    """Of the kind of device that `--device` means here."""
    return name_of(choose_device(device))
