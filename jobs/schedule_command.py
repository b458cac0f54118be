"""`imagegen schedule`: the scheduler's process, its history, and the same schedule for Kubernetes."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from pipelines.errors import InvalidJob

from .console import print_json, say
from .display import duration, table
from .exit_codes import ExitCode
from .job_files.lines import Mistake
from .job_files.reading import InvalidJobFile, load_job
from .job_files.runs import new_context
from .scheduling.history import DATABASE, History, Run
from .scheduling.processes import Processes
from .scheduling.scheduler import ScheduledJob, Scheduler
from .serve import until_told

LOOK = 1.0  # seconds between two looks at what runs
IDLE = 30.0  # longest sleep: a suspended machine and a clock that was set are noticed by then


def schedule_command(files: Sequence[Path], state: Path | None) -> int:
    """Runs until SIGINT or SIGTERM.

    Raises:
        InvalidJob: a file cannot be used, or another scheduler has the state folder.
    """
    jobs = scheduled_jobs(files)
    folder = (state or default_state()).expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "scheduler.lock", timeout=0), until_told() as told:
            history = History(folder)
            try:
                scheduler = Scheduler(jobs, history, Processes(folder), log, told)
                keep_time(scheduler)
            finally:
                history.close()
    except Timeout:
        raise InvalidJob(
            f"another scheduler has its state in {folder}; stop it, or give this one a folder of its own with --state"
        ) from None
    return ExitCode.SUCCESS


def keep_time(scheduler: Scheduler) -> None:
    scheduler.recover(datetime.now(UTC))
    for job in scheduler.jobs.values():
        first = job.times.after(datetime.now(UTC))
        log(f"{job.name}: next at {first:%Y-%m-%d %H:%M:%S %Z}" if first else f"{job.name}: no time comes any more")
    while not scheduler.told.is_set():
        moment = scheduler.step(datetime.now(UTC))
        left = (moment - datetime.now(UTC)).total_seconds()
        scheduler.told.wait(max(0.01, min(left, LOOK if scheduler.running() else IDLE)))
    if scheduler.running():
        log("stopping: runs finish their shards and go on when the scheduler is started again")
    scheduler.stop_all()
    while scheduler.running():
        scheduler.step(datetime.now(UTC))
        threading.Event().wait(0.2)


def scheduled_jobs(files: Sequence[Path]) -> list[ScheduledJob]:
    """Raises:
    InvalidJob: a file cannot be used, has no schedule, or two have one name.
    """
    found: dict[str, ScheduledJob] = {}
    for file in files:
        job = load_job(file)
        schedule = job.settings.schedule
        if schedule is None:
            raise InvalidJobFile(job.source, [Mistake((), "it has no schedule; add one like schedule: {every: 6 h}")])
        job.resolved(new_context(job, os.environ))
        if job.name in found:
            raise InvalidJob(f"{file} and {found[job.name].file} are both called {job.name}; give one a `name`")
        found[job.name] = ScheduledJob(job.name, file.absolute(), schedule)
    return list(found.values())


def history_command(state: Path | None, job: str | None, as_json: bool) -> int:
    folder = (state or default_state()).expanduser().absolute()
    if not (folder / DATABASE).exists():
        raise InvalidJob(f"no scheduler has its state in {folder}; give the folder with --state")
    history = History(folder)
    try:
        runs = history.all_runs(job)
    finally:
        history.close()
    if as_json:
        print_json([dataclasses.asdict(run) for run in runs])
    else:
        for line in table([("PLANNED (UTC)", "RUN", "STATE", "STARTS", "TOOK", ""), *map(cells, runs)]):
            print(line)
    return ExitCode.SUCCESS


def cells(run: Run) -> tuple[str, ...]:
    took = duration((run.ended - run.started).total_seconds()) if run.ended and run.started else ""
    return f"{run.planned:%Y-%m-%d %H:%M:%S}", run.run_id, run.state, str(run.starts), took, run.note


def default_state() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "imagegen" / "schedule"


def log(text: str) -> None:
    say(f"{datetime.now().astimezone():%Y-%m-%dT%H:%M:%S%z} {text}")
    sys.stderr.flush()
