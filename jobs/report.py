"""`imagegen report`: the page beside a dataset."""

from __future__ import annotations

import dataclasses

from pipelines.report import write_report

from .console import print_json
from .display import duration
from .exit_codes import ExitCode


def report_command(output: str, price_per_gpu_hour: float | None, as_json: bool) -> int:
    made = write_report(output, price_per_gpu_hour)
    if as_json:
        print_json(dataclasses.asdict(made))
    else:
        print(f"{made.page}: {made.rows:,} rows, {made.drawn:,} new thumbnails, written in {duration(made.seconds)}")
    return ExitCode.SUCCESS
