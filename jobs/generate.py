"""`imagegen generate` and `imagegen retry`: settings in, a run that is followed, a summary out."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imagen_model.generation import ErrorCode
from pipelines.batch import run_batch
from pipelines.errors import InvalidJob
from pipelines.job import Pool
from pipelines.progress import Summary
from pipelines.retry import retry_failed

from .display import ProgressLine, describe_summary
from .exit_codes import ExitCode
from .report import print_json, say
from .settings import read_settings


def generate_command(job_file: Path | None, flags: dict[str, Any], dry_run: bool, as_json: bool) -> int:
    job = read_settings(job_file, flags)
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
    known = [code.value for code in ErrorCode]
    unknown = [code for code in codes if code not in known]
    if unknown:
        raise InvalidJob(f"no error code is called {', '.join(unknown)}; known are: {', '.join(known)}")
    given = {name: value for name, value in pool.items() if value is not None}
    with ProgressLine() as follow:
        wanted = [ErrorCode(code) for code in codes] or None
        summary = retry_failed(output, wanted, pool=Pool(**given), follow=follow)
    return finish(summary, as_json)


def finish(summary: Summary, as_json: bool) -> int:
    if as_json:
        print_json(dataclasses.asdict(summary))
    else:
        print(describe_summary(summary))
    return ExitCode.FAILED_ROWS if summary.failed else ExitCode.SUCCESS


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"imagegen: {message}")
