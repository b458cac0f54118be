"""Noise that a scheduler draws between steps: from the rows' generators, also where the pipeline passes none on.

FLUX, Stable Diffusion 3, Qwen-Image, AuraFlow, Lumina, Z-Image and others call `scheduler.step` without a generator.
That costs nothing while their schedulers draw nothing; with `FlowMatchLCMScheduler`, or `stochastic_sampling` in the
scheduler's configuration, the noise would come from torch's global generator, which no row's seed reaches.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import SchedulerMixin


@contextmanager
def seeded_noise(pipeline: Any, generators: Sequence[torch.Generator]) -> Iterator[None]:
    """Meanwhile every scheduler of the pipeline takes its noise from these generators, one a row."""
    schedulers: dict[int, Any] = {
        id(one): one for one in pipeline.components.values() if isinstance(one, SchedulerMixin) and hasattr(one, "step")
    }
    wrapped = []
    for scheduler in schedulers.values():
        if "generator" in inspect.signature(scheduler.step).parameters:
            scheduler.step = with_generators(scheduler.step, generators)
            wrapped.append(scheduler)
    try:
        yield
    finally:
        for scheduler in wrapped:
            del scheduler.step


def with_generators(step: Callable[..., Any], generators: Sequence[torch.Generator]) -> Callable[..., Any]:
    """`step` with the signature that pipelines look at, and the generators where it is given none."""

    @functools.wraps(step)
    def seeded(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("generator") is None:
            kwargs["generator"] = list(generators)
        return step(*args, **kwargs)

    return seeded
