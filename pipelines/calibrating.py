"""`--micro-batch auto`: measured once a model, device, size and steps, kept in this node's cache, pinned in a plan.

Measured in a process of its own, so that the driver stays free of torch and the device's memory is free again: on this
machine, or for a pool that is a Ray cluster on one of its nodes, with the GPU that a worker would have. Workers get
the number; a run that goes on takes its plan's.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from filelock import FileLock

from imagen_model.catalog import ModelNotFound
from imagen_model.generation import GenerationRequest
from imagen_model.open_models.options import AUTO, ModelOptions

from .job import Pool
from .model_cache import cache_folder
from .stage import Source
from .steps import step
from .weights import find_source

CALIBRATIONS = "calibrations.json"


@dataclasses.dataclass(frozen=True, slots=True)
class Calibration:
    """Args:
    rows: of the micro-batch that was chosen.
    size, steps: of the pictures; no steps for a model that has none.
    offload: as in `ModelOptions`.
    measured: what was found for each, as `imagen_model.open_models.calibration.Measured` says it.
    known: it was measured before, and came from the cache.
    """

    model: str
    revision: str
    device: str
    size: str
    steps: int | None
    offload: str | None
    rows: int
    measured: list[dict[str, Any]]
    known: bool = False


def settled(
    model: str,
    options: ModelOptions,
    pool: Pool,
    size: tuple[int, int] | None = None,
    steps: int | None = None,
) -> ModelOptions:
    """The options with a number where `auto` was asked for. Raises as `calibrate`."""
    if options.micro_batch != AUTO:
        return options
    return dataclasses.replace(options, micro_batch=calibrate(model, options, pool, size, steps).rows)


def calibrate(
    model: str,
    options: ModelOptions,
    pool: Pool,
    size: tuple[int, int] | None = None,
    steps: int | None = None,
    again: bool = False,
) -> Calibration:
    """Args:
        pool: whose workers will run the model.
        size: width and height in pixels; None for the model's own.
        steps: of a picture; None for the model's own number.
        again: measure even if it is known.

    Raises:
        ModelNotFound: there is no such model, or it is no diffusers model.
        InvalidRequest: it does not make that size.
    """
    plain = dataclasses.replace(options, micro_batch=None)
    source = find_source(model, plain)
    width, height = size or source.rules.sizes[0]
    wanted = source.rules.resolve(GenerationRequest("x", 0, width=width, height=height, num_inference_steps=steps))
    steps = wanted.num_inference_steps
    with measuring(pool) as call:
        name = call(find_device, pool.device)
        key = json.dumps([source.revision, name, f"{width}x{height}", steps, options.offload])
        known = read_calibrations().get(key)
        if known is not None and not again:
            return Calibration(**known, known=True)
        step(f"measuring which micro-batch of {source.name} is best at {width}x{height}, once; it takes minutes")
        try:
            found = call(measure_model, source, pool.device, width, height, steps)
        except TypeError as error:
            raise ModelNotFound(f"{model}: {error}; leave micro_batch out") from None
    made = Calibration(source.name, source.revision, name, f"{width}x{height}", steps, options.offload, *found)
    write_calibration(key, made)
    return made


@contextmanager
def measuring(pool: Pool) -> Iterator[Callable[..., Any]]:
    """Calls a function with its arguments where the pool's workers run."""
    if pool.cluster is not None:
        from .ray_flow import calling_workers

        with calling_workers(pool) as call:
            yield call
        return
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        yield lambda function, *arguments: process.submit(function, *arguments).result()


def find_device(device: str) -> str:
    """In the measuring process."""
    from imagen_model.open_models.calibration import device_name

    return device_name(device)


def measure_model(
    source: Source, device: str, width: int, height: int, steps: int | None
) -> tuple[int, list[dict[str, Any]]]:
    """In the measuring process: the rows that were chosen, and what was found."""
    from imagen_model.open_models.calibration import choose, measure

    found = measure(source.load(None, device), width, height, steps)
    return choose(found), [asdict(one) for one in found]


def calibrations_file() -> Path:
    return cache_folder() / CALIBRATIONS


def read_calibrations() -> dict[str, Any]:
    try:
        values = json.loads(calibrations_file().read_text())
        return values if isinstance(values, dict) else {}
    except (OSError, ValueError):
        return {}


def write_calibration(key: str, made: Calibration) -> None:
    file = calibrations_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    fields = asdict(made)
    del fields["known"]
    with FileLock(file.with_suffix(".lock")):
        new = file.with_suffix(".new")
        new.write_text(json.dumps({**read_calibrations(), key: fields}, indent=1, sort_keys=True))
        new.replace(file)
