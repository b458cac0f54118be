"""Which micro-batch is worth its size: images a second and memory of growing ones, measured on the device itself.

Batching often gives nothing (at 1024x1024 a GPU is full with one picture), and a larger micro-batch costs memory, fill
and a lone picture's time. So the smallest is taken that comes within 3 % of the best.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..generation import GenerationRequest, Generator
from .generator import DiffusersGenerator
from .micro_batch import free, is_out_of_memory
from .running import RunShape

WITHIN = 0.97  # of the best rate
ROUNDS = 3  # timed runs of each size, after one that warms up; the median counts
STEPS = 4  # of a timed run at most: what a step costs is what counts
LARGEST = 16


@dataclass(frozen=True, slots=True)
class Measured:
    """Args:
    rows: of the micro-batch.
    images_per_second: with the steps of the measurement, so only good for comparing.
    peak_bytes: of the GPU's memory; None on a CPU.
    """

    rows: int
    images_per_second: float
    peak_bytes: int | None


def measure(generator: Generator, width: int, height: int, largest: int = LARGEST) -> list[Measured]:
    """Micro-batches of 1, 2, 4, ... rows at one size, until memory runs out or `largest` is reached.

    Raises:
        InvalidRequest: the model does not make that size.
        TypeError: it is no diffusers model.
    """
    if not isinstance(generator, DiffusersGenerator):
        raise TypeError("only diffusers models have a micro-batch to choose")
    steps = generator.rules.defaults.get("num_inference_steps")
    few = None if steps is None else min(int(steps), STEPS)
    wanted = GenerationRequest("a photograph of a red fox", 0, width=width, height=height, num_inference_steps=few)
    request = generator.rules.resolve(wanted)
    shape = generator.group_key(request)
    found: list[Measured] = []
    rows = 1
    while rows <= largest:
        requests = [request] * rows
        try:
            if generator.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(generator.device)
            generator.run(requests, shape)
            seconds = statistics.median(timed(generator, requests, shape) for _ in range(ROUNDS))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            free(generator.device)
            break
        peak = torch.cuda.max_memory_allocated(generator.device) if generator.device.type == "cuda" else None
        found.append(Measured(rows, rows / seconds, peak))
        rows *= 2
    return found


def timed(generator: DiffusersGenerator, requests: list[GenerationRequest], shape: RunShape) -> float:
    began = time.perf_counter()
    generator.run(requests, shape)
    return time.perf_counter() - began


def choose(found: Sequence[Measured]) -> int:
    """Rows of the smallest micro-batch within 3 % of the best; 1 where nothing fitted."""
    best = max((one.images_per_second for one in found), default=0.0)
    return next((one.rows for one in found if one.images_per_second >= WITHIN * best), 1)


def device_name(device: str) -> str:
    """Of the kind of device that `--device` means here: what one has measured holds for others of the same name."""
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return f"cpu, {torch.backends.cpu.get_cpu_capability()}"
    return torch.cuda.get_device_name("cuda" if device == "auto" else device)
