"""`imagegen generate` and `imagegen retry`: settings in, a run that is followed, a summary out."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.batch import run_batch
from pipelines.job import Pool
from pipelines.progress import Summary

from .display import ProgressLine, describe_summary
from .exit_codes import ExitCode
from .report import print_json, say
from .settings import read_settings


def generate_command(job_file: Path | None, flags: dict[str, Any], dry_run: bool, as_json: bool) -> int:
    job = read_settings(job_file, flags).batch_job()
    with warnings.catch_warnings():
        warnings.showwarning = show_warning
        if dry_run:
            from .estimate import dry_run as estimate

            print(estimate(job))
            return ExitCode.SUCCESS
        with ProgressLine() as follow:
            summary = run_batch(job, follow)
    return finish(summary, as_json)


def retry_command(output: str, codes: Sequence[str], pool: dict[str, Any], as_json: bool) -> int:
    from pipelines.retry import retry

    given = {name: value for name, value in pool.items() if value is not None}
    with ProgressLine() as follow:
        summary = retry(output, codes=codes or None, pool=Pool(**given), follow=follow)
    return finish(summary, as_json)


def finish(summary: Summary, as_json: bool) -> int:
    if as_json:
        print_json(dataclasses.asdict(summary))
    else:
        print(describe_summary(summary))
    return ExitCode.FAILED_ROWS if summary.failed else ExitCode.SUCCESS


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"imagegen: {message}")
