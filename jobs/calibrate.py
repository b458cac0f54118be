"""`imagegen calibrate`: images a second and memory of growing micro-batches, and the one to take."""

from __future__ import annotations

import dataclasses
from typing import Any

from imagen_model.open_models.options import ModelOptions
from pipelines.calibrating import Calibration, calibrate
from pipelines.job import Pool, parse_size

from .console import print_json
from .display import size_of
from .exit_codes import ExitCode


def calibrate_command(
    model: str,
    size: str | None,
    steps: int | None,
    pool: dict[str, Any],
    options: ModelOptions,
    as_json: bool,
) -> int:
    pixels = None if size is None else parse_size(size)
    given = {name: value for name, value in pool.items() if value is not None}
    found = calibrate(model, options, Pool(**given), pixels, steps, again=True)
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        print(describe(found))
    return ExitCode.SUCCESS


def describe(found: Calibration) -> str:
    best = max((one["images_per_second"] for one in found.measured), default=0.0)
    steps = "" if found.steps is None else f", {found.steps} steps"
    what = f"{found.model} ({found.revision}) at {found.size}{steps} on {found.device}"
    lines = [what, "rows  images/s   of best  memory"]
    for one in found.measured:
        memory = "" if one["peak_bytes"] is None else size_of(one["peak_bytes"])
        speed = one["images_per_second"]
        lines.append(f"{one['rows']:4}  {speed:8.2f}  {speed / best:7.0%}  {memory}".rstrip())
    if not found.measured:
        lines.append("not even one picture fits into memory; take a smaller size, or --offload")
    lines.append(f"the smallest within 3 % of the best: --micro-batch {found.rows} (and what --micro-batch auto takes)")
    return "\n".join(lines)
