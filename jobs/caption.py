"""`imagegen caption`: pictures in, a table of alt texts out."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

from pipelines.captioning import CaptionJob, CaptionSummary, run_captioning
from pipelines.job import Pool
from pipelines.words import counted

from .console import print_json
from .display import duration, failure_lines
from .exit_codes import ExitCode
from .progress_line import ProgressLine
from .run import show_warning


def caption_command(
    images: str, output: str, model: str, pool: dict[str, Any], log_file: str | None, as_json: bool
) -> int:
    given = {name: value for name, value in pool.items() if value is not None}
    with warnings.catch_warnings(), ProgressLine() as follow:
        warnings.showwarning = show_warning
        summary = run_captioning(CaptionJob(images, output, model, log_file, Pool(**given)), follow)
    if as_json:
        print_json(dataclasses.asdict(summary))
    else:
        print(describe_captions(summary))
    return ExitCode.FAILED_ROWS if summary.failed else ExitCode.SUCCESS


def describe_captions(summary: CaptionSummary) -> str:
    lines = [
        f"{summary.output}: {counted(summary.pictures, 'picture')}, {counted(summary.succeeded, 'caption')}, "
        f"{summary.failed:,} failed, "
        f"captioner of {summary.model} ({summary.model_revision})"
    ]
    lines += failure_lines(summary.codes, summary.examples)
    if summary.shards_made:
        lines.append(
            f"this run: {summary.made:,} pictures in {duration(summary.seconds)}, "
            f"{summary.pictures_per_second:.1f} pictures/s on {counted(summary.workers, 'worker')}"
        )
    else:
        lines.append("this run: nothing was left to do")
    if summary.failed:
        lines.append(
            f"next: look at error_message in {summary.output}/captions; a shard's file that is deleted is made again"
        )
    return "\n".join(lines)
