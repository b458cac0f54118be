"""`--micro-batch auto`: measured once a model, device and size, kept in this node's cache, pinned in a run's plan.

Measured where the command is given, in a process of its own, so that the driver stays free of torch and the device's
memory is free again. Workers get the number; a run that goes on takes its plan's.
"""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from filelock import FileLock

from imagen_model.catalog import ModelNotFound
from imagen_model.generation import GenerationRequest
from imagen_model.open_models.options import AUTO, ModelOptions

from .model_cache import cache_folder
from .weights import find_source

CALIBRATIONS = "calibrations.json"


@dataclasses.dataclass(frozen=True, slots=True)
class Calibration:
    """Args:
    rows: of the micro-batch that was chosen.
    measured: what was found for each, as `imagen_model.open_models.calibration.Measured` says it.
    known: it was measured before, and came from the cache.
    """

    model: str
    revision: str
    device: str
    size: str
    rows: int
    measured: list[dict[str, Any]]
    known: bool = False


def settled(model: str, options: ModelOptions, device: str, size: tuple[int, int] | None) -> ModelOptions:
    """The options with a number where `auto` was asked for. Raises as `calibrate`."""
    if options.micro_batch != AUTO:
        return options
    return dataclasses.replace(options, micro_batch=calibrate(model, options, device, size).rows)


def calibrate(
    model: str, options: ModelOptions, device: str, size: tuple[int, int] | None, again: bool = False
) -> Calibration:
    """Args:
        size: width and height in pixels; None for the model's own.
        again: measure even if it is known.

    Raises:
        ModelNotFound: there is no such model, or it is no diffusers model.
        InvalidRequest: it does not make that size.
    """
    plain = dataclasses.replace(options, micro_batch=None)
    source = find_source(model, plain)
    width, height = size or source.rules.sizes[0]
    source.rules.resolve(GenerationRequest("x", 0, width=width, height=height))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        name = pool.submit(find_device, device).result()
        key = json.dumps([source.revision, name, f"{width}x{height}"])
        known = read_calibrations().get(key)
        if known is not None and not again:
            return Calibration(**known, known=True)
        try:
            found = pool.submit(measure_model, model, plain, device, width, height).result()
        except TypeError as error:
            raise ModelNotFound(f"{model}: {error}; leave micro_batch out") from None
    made = Calibration(source.name, source.revision, name, f"{width}x{height}", *found)
    write_calibration(key, made)
    return made


def find_device(device: str) -> str:
    """In the measuring process."""
    from imagen_model.open_models.calibration import device_name

    return device_name(device)


def measure_model(
    model: str, options: ModelOptions, device: str, width: int, height: int
) -> tuple[int, list[dict[str, Any]]]:
    """In the measuring process: the rows that were chosen, and what was found."""
    from imagen_model.open_models.calibration import choose, measure

    found = measure(find_source(model, options).load(None, device), width, height)
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
