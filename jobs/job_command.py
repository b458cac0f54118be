"""`imagegen job run`, `check` and `next`: one file, here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.errors import InvalidJob

from .console import print_json, say
from .exit_codes import ExitCode
from .job_files.reading import InvalidJobFile, load_job
from .job_files.runs import check_here, new_context
from .job_files.times import Times
from .run import run_command


def run_file(
    file: Path,
    run_id: str | None,
    date: str | None,
    dry_run: bool,
    as_json: bool,
    flags: Mapping[str, Any] | None = None,
) -> int:
    """Args:
    flags: settings that win over the file's.
    """
    job = load_job(file, flags)
    context = new_context(job, os.environ, date, run_id)
    return run_command(job, context, dry_run, as_json)


def check_files(files: list[Path]) -> int:
    wrong = 0
    for file in files:
        try:
            job = load_job(file)
            check_here(job, job.resolved(new_context(job, os.environ)))
        except InvalidJobFile as mistakes:
            say(f"imagegen: {mistakes}")
            wrong += 1
        else:
            print(f"{file}: right")
    return ExitCode.USAGE if wrong else ExitCode.SUCCESS


def print_next(file: Path, count: int, as_json: bool) -> int:
    """Raises:
    InvalidJob: the file has no schedule.
    """
    schedule = load_job(file).settings.schedule
    if schedule is None:
        raise InvalidJob(f"the job file {file} has no schedule; add one like `schedule: {{cron: '30 2 * * *'}}`")
    times = Times(schedule).first(datetime.now(UTC), count)
    if as_json:
        print_json([time.isoformat() for time in times])
    else:
        for time in times:
            print(f"{time:%a %Y-%m-%d %H:%M:%S %Z (UTC%z)}")
    return ExitCode.SUCCESS
