"""The scheduler's rules, driven through days in milliseconds; `test_nightly.py` runs the real thing."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.job_files.settings import Schedule
from jobs.scheduling.history import History, Run, State
from jobs.scheduling.processes import LOST, Processes
from jobs.scheduling.scheduler import ScheduledJob, Scheduler

START = datetime(2026, 11, 25, 0, 30, tzinfo=UTC)


@dataclass
class Scripted:
    """Runs that end when the test says."""

    started: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)

    def start(self, run: Run, file: Path) -> None:
        self.started.append(run.run_id)
        self.codes.pop(run.run_id, None)

    def ended(self, run: Run) -> int | None:
        return self.codes.get(run.run_id)

    def stop(self, run: Run) -> None:
        self.stopped.append(run.run_id)


@dataclass
class Drive:
    """A scheduler, its clock, and what it started."""

    folder: Path
    schedule: Schedule
    launcher: Scripted = field(default_factory=Scripted)
    now: datetime = START
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.boot()

    def boot(self) -> None:
        """A scheduler begins, where another was killed or none was."""
        self.history = History(self.folder)
        job = ScheduledJob("night", Path("night.yaml"), self.schedule)
        self.scheduler = Scheduler([job], self.history, self.launcher, self.said.append)
        self.scheduler.recover(self.now)
        self.step()

    def step(self, **later: float) -> datetime:
        self.now += timedelta(**later)
        return self.scheduler.step(self.now)

    def end(self, code: int) -> None:
        (run,) = [run for run in self.history.open_runs() if run.state in {"running", "stopping"}]
        self.launcher.codes[run.run_id] = code
        self.step()

    def states(self) -> list[tuple[str, str]]:
        return [(f"{run.planned:%d %H:%M}", str(run.state)) for run in self.history.all_runs()]


def drive(folder: Path, **schedule: Any) -> Drive:
    return Drive(folder, Schedule(**{"cron": "0 1 * * *", "retries": 2, "retry_seconds": 60, **schedule}))


def test_a_run_starts_when_it_is_due_and_once(tmp_path: Path) -> None:
    night = drive(tmp_path)
    assert night.step() == datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
    night.step(minutes=29, seconds=59)
    assert night.launcher.started == []
    night.step(seconds=1)
    night.step(seconds=1)
    assert night.launcher.started == ["night-20261125T010000Z"]
    night.end(0)
    night.step(hours=20)
    assert night.states() == [("25 01:00", "succeeded")]


@pytest.mark.parametrize(
    ("code", "state"), [(0, "succeeded"), (3, "failed_rows"), (4, "failure_budget_exceeded"), (130, "stopped")]
)
def test_what_is_final_is_not_tried_again(tmp_path: Path, code: int, state: str) -> None:
    night = drive(tmp_path)
    night.step(minutes=30)
    night.end(code)
    night.step(hours=3)
    assert night.states() == [("25 01:00", state)] and len(night.launcher.started) == 1


def test_a_run_that_fails_is_tried_again_later_each_time_and_then_given_up(tmp_path: Path) -> None:
    night = drive(tmp_path)
    night.step(minutes=30)
    night.end(1)
    night.step(seconds=59)
    assert len(night.launcher.started) == 1
    night.step(seconds=1)
    assert len(night.launcher.started) == 2
    night.end(-9)
    night.step(seconds=119)
    assert len(night.launcher.started) == 2
    night.step(seconds=1)
    night.end(2)
    (run,) = night.history.all_runs()
    assert (run.state, run.starts, run.failures, run.exit_code) == ("failed", 3, 3, 2)
    assert run.ended == night.now and run.started == START + timedelta(minutes=30)


@pytest.mark.parametrize(
    ("missed", "states"),
    [
        ("run_once", [("27 01:00", "running")]),
        ("skip", [("27 01:00", "missed")]),
    ],
)
def test_times_at_which_nobody_was_there(tmp_path: Path, missed: str, states: list[tuple[str, str]]) -> None:
    night = drive(tmp_path, missed=missed)
    night.now += timedelta(days=2, hours=9)
    night.boot()
    assert night.states() == states
    night.boot()  # nor is it booked again by the next
    assert night.states() == states


def test_years_of_minutes_are_looked_through_from_the_end(tmp_path: Path) -> None:
    night = drive(tmp_path, cron="* * * * *")
    night.now += timedelta(days=1200, seconds=90)
    night.boot()
    assert [run.planned for run in night.history.all_runs()] == [night.now - timedelta(seconds=30)]
    yearly = drive(tmp_path / "yearly", cron="0 0 29 2 *")
    yearly.now += timedelta(days=1200)
    yearly.boot()
    assert yearly.states() == [("29 00:00", "running")]


@pytest.mark.parametrize("overlap", ["skip", "queue"])
def test_a_time_at_which_the_last_run_is_at_work(tmp_path: Path, overlap: str) -> None:
    night = drive(tmp_path, overlap=overlap)
    night.step(minutes=30)
    for _ in range(2):
        night.step(days=1)
    first, second, third = (f"night-202611{day}T010000Z" for day in (25, 26, 27))
    assert night.launcher.started == [first]
    night.end(0)
    if overlap == "skip":
        assert [state for _, state in night.states()] == ["succeeded", "skipped", "skipped"]
        assert night.launcher.started == [first]
    else:
        assert [state for _, state in night.states()] == ["succeeded", "running", "waiting"]
        night.end(1)  # its retry comes before the next
        assert night.launcher.started == [first, second]
        night.step(seconds=60)
        night.end(0)
        assert night.launcher.started == [first, second, second, third]


def test_a_run_that_died_with_the_scheduler_goes_on_at_once_and_one_that_lives_is_taken_over(tmp_path: Path) -> None:
    night = drive(tmp_path)
    night.step(minutes=30)
    night.boot()  # it is still at work
    assert len(night.launcher.started) == 1
    assert "still at work" in night.said[-1]
    run_id = night.launcher.started[0]
    night.launcher.codes[run_id] = LOST
    night.boot()
    (run,) = night.history.all_runs()
    assert night.launcher.started == [run_id] * 2 and (run.starts, run.failures) == (2, 0)
    night.launcher.codes[run_id] = 0  # ended while no scheduler was there
    night.boot()
    assert night.states() == [("25 01:00", "succeeded")]


@pytest.mark.parametrize("code", [130, -15, 1])  # -15: it had only just begun
def test_runs_that_stop_with_the_scheduler_go_on_with_the_next(tmp_path: Path, code: int) -> None:
    night = drive(tmp_path, retries=0)
    night.step(minutes=30)
    night.scheduler.stop_all()
    assert night.launcher.stopped == night.launcher.started
    night.end(code)
    night.step(days=1)
    (run,) = night.history.all_runs()
    assert (run.state, run.failures, len(night.launcher.started)) == ("waiting", 0, 1)
    night.boot()
    assert night.launcher.started == ["night-20261125T010000Z"] * 2


def test_a_run_that_finishes_its_shard_longer_than_the_scheduler_lives_goes_on_too(tmp_path: Path) -> None:
    night = drive(tmp_path, retries=0)
    night.step(minutes=30)
    night.scheduler.stop_all()
    night.boot()  # the first was told a second time, or killed
    assert night.states() == [("25 01:00", "stopping")]
    night.scheduler.stop_all()
    assert len(night.launcher.stopped) == 1, "a second SIGTERM drops the shard"
    night.boot()
    night.end(130)
    assert night.launcher.started == ["night-20261125T010000Z"] * 2


def test_a_run_that_was_told_to_stop_while_no_scheduler_was_there_goes_on(tmp_path: Path) -> None:
    night = drive(tmp_path, retries=0)
    night.step(minutes=30)
    night.launcher.codes[night.launcher.started[0]] = 130  # by systemd, when it found the scheduler killed
    night.boot()
    assert night.launcher.started == ["night-20261125T010000Z"] * 2


def test_a_run_that_a_signal_to_all_reaches_before_the_scheduler_looks_goes_on(tmp_path: Path) -> None:
    night = drive(tmp_path, retries=0)
    night.step(minutes=30)
    night.scheduler.told.set()
    night.end(130)
    assert night.states() == [("25 01:00", "waiting")]


def test_sigterm_while_a_run_starts_interrupts_it(tmp_path: Path) -> None:
    job = tmp_path / "night.yaml"
    os.mkfifo(job)  # it starts for as long as nobody writes
    processes = Processes(tmp_path)
    run = Run("night-1", "night", START, "2026-11-25", State.RUNNING)
    processes.start(run, job)
    deadline = time.monotonic() + 60
    while not processes.process_id(run).exists() or not processes.process_id(run).read_text():
        assert time.monotonic() < deadline, processes.log(run).read_text()
        time.sleep(0.01)
    processes.stop(run)
    assert processes.own[run.run_id].wait(60) == 130


def test_times_of_a_changed_schedule_count_from_the_last_that_was_seen_to(tmp_path: Path) -> None:
    night = drive(tmp_path)
    night.step(minutes=30)
    night.end(0)
    night.schedule = Schedule(cron="0 6 * * *")
    night.now += timedelta(hours=9)
    night.boot()
    assert night.states() == [("25 01:00", "succeeded"), ("25 06:00", "running")]
    night.schedule = Schedule(cron="0 2 * * *", missed="skip")
    night.end(0)
    night.boot()  # 02:00 lies before 06:00, which was seen to
    assert night.states() == [("25 01:00", "succeeded"), ("25 06:00", "succeeded")]


def test_the_date_is_that_of_the_schedules_zone(tmp_path: Path) -> None:
    night = drive(tmp_path, time_zone="Pacific/Auckland", cron="0 8 * * *")
    night.step(hours=24)
    (run,) = night.history.all_runs()
    assert (run.planned.isoformat(), run.date) == ("2026-11-25T19:00:00+00:00", "2026-11-26")
