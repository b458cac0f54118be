"""The settings of `imagegen generate`: a job file, flags that win over it, one frozen object."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pipelines.job import BatchJob

from .job_files.reading import load_job
from .job_files.runs import new_context


def read_settings(job_file: Path | None, flags: dict[str, Any]) -> BatchJob:
    """The job that the file's settings ask for, with the flags that were given (not None) in their place.

    Raises:
        InvalidJob: the file cannot be read, or settings are unknown, missing or wrong; all that is known at once.
    """
    job = load_job(job_file, flags)
    return job.resolved(new_context(job, os.environ)).batch_job()
