"""`imagegen job run`, `check` and `next`: one file, here."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.errors import InvalidJob
from pipelines.lease import holder_of
from pipelines.storage import Store, open_store

from .console import print_json, say
from .exit_codes import ExitCode, exit_code_of, retry_helps
from .job_files.reading import InvalidJobFile, draft_job, load_job
from .job_files.runs import all_mistakes, new_context
from .job_files.times import Times
from .run import run_command

LOOK = 1.0  # seconds between two looks at who holds an output


def run_file(
    file: Path,
    run_id: str | None,
    date: str | None,
    dry_run: bool,
    as_json: bool,
    flags: Mapping[str, Any] | None = None,
    settle: bool = False,
) -> int:
    """Args:
    flags: settings that win over the file's.
    settle: first find out whether another run that seems to hold the output lives.
    """
    job = load_job(file, flags)
    context = new_context(job, os.environ, date, run_id)
    if settle:
        wait_for_the_dead(open_store(job.resolved(context).output))
    return run_command(job, context, dry_run, as_json)


def run_for_retries(
    file: Path,
    run_id: str | None,
    date: str | None,
    dry_run: bool,
    as_json: bool,
    flags: Mapping[str, Any] | None = None,
) -> int:
    """`run_file` for what starts it again on any status but 0, as KubeRay does with a new cluster each time: so it
    ends with 0 unless that may help."""
    try:
        code = run_file(file, run_id, date, dry_run, as_json, flags, settle=True)
    except Exception as error:
        code = exit_code_of(error)
        if retry_helps(error):
            return code
        say("imagegen: it would end like this again, so the exit status is 0 (--fail-only-to-retry)")
        return ExitCode.SUCCESS
    return ExitCode.SUCCESS if code == ExitCode.FAILED_ROWS else code


def wait_for_the_dead(store: Store) -> None:
    """Until whoever holds the output has shown that it lives, or counts as dead: for a minute after a cluster is lost
    nobody can tell, and the run that goes on in its place would take its own predecessor for another."""
    first = holder_of(store)
    while (holder := holder_of(store)) is not None and holder == first and not holder.dead(time.time()):
        time.sleep(LOOK)


def check_files(files: list[Path]) -> int:
    wrong = 0
    for file in files:
        try:
            job = draft_job(file)
            mistakes = all_mistakes(job, os.environ)
            if mistakes:
                raise InvalidJobFile(job.source, mistakes)
        except InvalidJob as problem:
            say(f"imagegen: {problem}")
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
