"""The two loops that the GPU suite compares: diffusers as one writes it by hand, and the generator of this project."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from imagen_model.generation import GenerationRequest, Success
from imagen_model.open_models.generator import DiffusersGenerator
from imagen_model.open_models.micro_batch import free, is_out_of_memory

from .gpu_figures import wait
from .gpu_models import Model

Draw = Callable[[int], object]  # makes so many pictures together
NUMBERS = itertools.count()  # of pictures: no prompt comes twice, for encodings of texts are kept


@dataclass(frozen=True)
class Speed:
    """Args:
    images_per_second: the median of the rounds.
    peak_bytes: of the GPU's memory; None on a CPU.
    """

    images_per_second: float
    peak_bytes: int | None


@contextmanager
def own_kernels() -> Iterator[None]:
    """What a loop chooses for the whole process is put back behind it: the next model's plain loop must run as torch
    comes, not with our deterministic convolutions."""
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, products.allow_tf32
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, products.allow_tf32 = before


def plain_loop(made: Any, model: Model, fixed: dict[str, Any], steps: int) -> Draw:
    """Args:
    fixed: further arguments of a call, as the model's makers give them.
    """

    def draw(count: int) -> None:
        numbers = list(itertools.islice(NUMBERS, count))
        made(
            prompt=[f"photograph {number}" for number in numbers],
            width=model.side,
            height=model.side,
            num_inference_steps=steps,
            generator=[torch.Generator("cpu").manual_seed(number) for number in numbers],
            **fixed,
        )

    return draw


def our_loop(generator: DiffusersGenerator, model: Model) -> Draw:
    """Raises, when called, OutOfMemoryError where the micro-batch was halved, and RuntimeError where a row failed."""

    def draw(count: int) -> None:
        requests = [
            GenerationRequest(
                f"photograph {number}",
                number,
                width=model.side,
                height=model.side,
                num_inference_steps=model.steps,
            )
            for number in itertools.islice(NUMBERS, count)
        ]
        results = generator.generate(requests)
        if generator.group_size(generator.group_key(generator.rules.resolve(requests[0]))) != count:
            raise torch.OutOfMemoryError("the micro-batch was halved")
        for result in results:
            if not isinstance(result, Success):
                raise RuntimeError(result.message)

    return draw


def timed(draw: Draw, count: int, rounds: int, device: torch.device) -> Speed | None:
    """How fast pictures are made, so many together; None where they do not fit into memory."""
    seconds = []
    try:
        draw(count)  # warms up
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        for _ in range(rounds):
            wait(device)
            began = time.perf_counter()
            draw(count)
            wait(device)
            seconds.append(time.perf_counter() - began)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        free(device)
        return None
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return Speed(count / statistics.median(seconds), peak)
