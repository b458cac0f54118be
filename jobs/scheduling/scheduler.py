"""Books what is due, starts what may start, and settles what ended. All that it knows is in the history.

One step does everything that is due at a moment, so that tests drive it through years in milliseconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..exit_codes import ExitCode
from ..job_files.runs import run_id_at
from ..job_files.settings import Schedule
from ..job_files.times import Times
from .history import AT_WORK, OPEN, History, Run, State
from .processes import LOST, Launcher

LATE = timedelta(seconds=60)  # a run that starts later was missed; a busy machine may be this slow
LONGEST_RETRY = timedelta(hours=6)
DONE = {
    ExitCode.SUCCESS: State.SUCCEEDED,
    ExitCode.FAILED_ROWS: State.FAILED_ROWS,
    ExitCode.FAILURE_BUDGET_EXCEEDED: State.FAILURE_BUDGET_EXCEEDED,
}
FINAL = {**DONE, ExitCode.INTERRUPTED: State.STOPPED}  # by somebody, who may not want it again
WINDOWS = [timedelta(**span) for span in ({"minutes": 2}, {"hours": 2}, {"days": 2}, {"days": 62}, {"days": 1500})]


@dataclass(frozen=True)
class ScheduledJob:
    """Args:
    name: under which the history knows it.
    file: from which each run reads its settings anew.
    schedule: as it was when the scheduler started.
    """

    name: str
    file: Path
    schedule: Schedule

    @property
    def times(self) -> Times:
        return Times(self.schedule)


class Scheduler:
    """Args:
    say: is told of what happens, a line at a time.
    told: set as soon as the scheduler is to stop. A signal may reach the runs as well, so what they end with is
        looked at in its light even before `stop_all`.
    """

    def __init__(
        self,
        jobs: Sequence[ScheduledJob],
        history: History,
        launcher: Launcher,
        say: Callable[[str], None],
        told: threading.Event | None = None,
    ) -> None:
        self.jobs = {job.name: job for job in jobs}
        self.history = history
        self.launcher = launcher
        self.say = say
        self.told = told or threading.Event()

    def recover(self, now: datetime) -> None:
        """After a start: runs that were at work are either still so, or ended, or died and go on at once.

        Nobody stops a run alone while no scheduler is there: it was told with the scheduler or with the machine.
        """
        for run in self.running():
            code = self.launcher.ended(run)
            if code is None:
                self.say(f"{run.run_id} is still at work; it was started by an earlier scheduler")
            elif code == LOST:
                self.save(replace(run, state=State.WAITING, note="died with the scheduler or the machine; goes on"))
            elif code == ExitCode.INTERRUPTED:
                self.save(replace(run, state=State.WAITING, note="stopped while no scheduler was there; goes on"))

    def step(self, now: datetime) -> datetime:
        """Everything that is due; returns the moment of the next thing that can be foreseen."""
        for run in self.running():
            code = self.launcher.ended(run)
            if code is not None:
                self.settle(run, code, now)
        for job in self.jobs.values():
            if not self.told.is_set():
                self.book(job, now)
                self.start_next(job, now)
        return self.next_moment(now)

    def running(self) -> list[Run]:
        return [run for run in self.history.open_runs() if run.state in AT_WORK and run.job in self.jobs]

    def book(self, job: ScheduledJob, now: datetime) -> None:
        """The latest time that is due; those before it, at which nobody was there, are seen to by it."""
        since = self.history.booked_until(job.name)
        if since is None:
            self.history.book(job.name, now)  # what lay before the job came here is none of its business
            return
        planned = latest(job.times, since, now)
        if planned is None:
            return
        date = planned.astimezone(job.times.zone).date().isoformat()
        run = Run(run_id_at(job.name, planned), job.name, planned.astimezone(UTC), date, State.WAITING)
        late = now - planned > LATE
        if late and job.schedule.missed == "skip":
            run = replace(run, state=State.MISSED, ended=now, note="nobody was there at its time")
        elif job.schedule.overlap == "skip" and (busy := self.history.open_runs(job.name)):
            run = replace(run, state=State.SKIPPED, ended=now, note=f"{busy[0].run_id} was not over")
        elif late:
            run = replace(run, note="nobody was there at its time; run once since")
        self.history.book(job.name, planned, run)
        self.tell(run)

    def start_next(self, job: ScheduledJob, now: datetime) -> None:
        """One run of a job at a time, in the order in which they were due."""
        for run in self.history.open_runs(job.name):
            if run.state in AT_WORK or (run.next_try is not None and run.next_try > now):
                return
            # Before the process: a scheduler that dies in between finds a run to look after, not one to start twice.
            started = replace(run, state=State.RUNNING, starts=run.starts + 1, started=run.started or now)
            self.save(replace(started, next_try=None))
            self.launcher.start(run, job.file)
            return

    def settle(self, run: Run, code: int, now: datetime) -> None:
        schedule = self.jobs[run.job].schedule
        ended = replace(run, exit_code=code, ended=now)
        stopping = run.state is State.STOPPING or self.told.is_set()
        if stopping and code not in DONE:  # whatever it was doing when it was told; that is no failure
            ended = replace(ended, state=State.WAITING, ended=None, note="stopped with the scheduler; goes on")
        elif code in FINAL:
            ended = replace(ended, state=FINAL[ExitCode(code)], note="" if code != ExitCode.INTERRUPTED else "stopped")
        elif run.failures < schedule.retries:
            wait = min(timedelta(seconds=schedule.retry_seconds) * 2**run.failures, LONGEST_RETRY)
            note = f"ended with {code}; tried again after {wait.total_seconds():g} s"
            ended = replace(
                ended, state=State.RETRYING, ended=None, failures=run.failures + 1, next_try=now + wait, note=note
            )
        else:
            tries = run.failures + 1
            ended = replace(ended, state=State.FAILED, failures=tries, note=f"given up after {tries} tries")
        self.save(ended)

    def next_moment(self, now: datetime) -> datetime:
        waits = [run.next_try for run in self.history.open_runs() if run.next_try is not None]
        dues = [job.times.after(now) for job in self.jobs.values()]
        return min((moment for moment in [*waits, *dues] if moment is not None), default=now + timedelta(days=1))

    def stop_all(self) -> None:
        """Ask every run to finish what it began; they go on when the scheduler is started again.

        The history says so before they are told: this scheduler may not live to see them end.
        """
        self.told.set()
        for run in self.running():
            if run.state is State.RUNNING:  # to be told twice means to drop its shards
                self.save(replace(run, state=State.STOPPING))
                self.launcher.stop(run)

    def save(self, run: Run) -> None:
        self.history.save(run)
        self.tell(run)

    def tell(self, run: Run) -> None:
        code = "" if run.exit_code is None or run.state in OPEN else f" (exit code {run.exit_code})"
        self.say(f"{run.run_id} {run.state}{code}{': ' if run.note else ''}{run.note}")


def latest(times: Times, since: datetime, now: datetime) -> datetime | None:
    """The last time after `since` that is not after `now`: looked for from now backward, since the scheduler may have
    been away for a year of minutes."""
    for window in WINDOWS:
        found = None
        for time in times.following(max(since, now - window)):
            if time > now:
                break
            found = time
        if found is not None or now - window <= since:
            return found
    return None
