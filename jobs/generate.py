"""`imagegen generate` and `imagegen retry`: settings in, a run that is followed, a summary out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imagen_model.generation import ErrorCode
from pipelines.credential_files import CredentialFiles
from pipelines.errors import InvalidJob
from pipelines.job import Pool
from pipelines.retry import retry_failed

from .job_files.reading import load_job
from .job_files.runs import new_context
from .metrics import serving
from .progress_line import ProgressLine
from .run import finish, followed_by, run_command, show_warning


def generate_command(job_file: Path | None, flags: dict[str, Any], dry_run: bool, as_json: bool) -> int:
    job = load_job(job_file, flags)
    return run_command(job, new_context(job, os.environ), dry_run, as_json)


def retry_command(
    output: str,
    codes: Sequence[str],
    pool: dict[str, Any],
    report: bool,
    metrics_port: int | None,
    metrics_host: str | None,
    signing: CredentialFiles | None,
    offload: str | None,
    as_json: bool,
) -> int:
    known = [code.value for code in ErrorCode]
    unknown = [code for code in codes if code not in known]
    if unknown:
        raise InvalidJob(f"no error code is called {', '.join(unknown)}; known are: {', '.join(known)}")
    given = {name: value for name, value in pool.items() if value is not None}
    about = {"kind": "retry", "output": output}
    with warnings.catch_warnings(), serving(metrics_port, metrics_host, about) as metrics, ProgressLine() as show:
        warnings.showwarning = show_warning
        follow = followed_by(show, metrics)
        wanted = [ErrorCode(code) for code in codes] or None
        summary = retry_failed(
            output, wanted, pool=Pool(**given), follow=follow, report=report, signing=signing, offload=offload
        )
    return finish(summary, report, as_json)
