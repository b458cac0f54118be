"""What was due, what ran and how it ended, in one SQLite file. Each change is one durable transaction.

The scheduler keeps nothing else: after a `kill -9` it knows from here up to when each job's times are booked, which
runs wait, and which were at work.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

DATABASE = "schedule.sqlite"
VERSION = 1
TABLES = """
create table booked (job text primary key, until text not null);
create table runs (
    run_id text primary key,
    job text not null,
    planned text not null,
    date text not null,
    state text not null,
    starts integer not null default 0,
    failures integer not null default 0,
    started text,
    ended text,
    exit_code integer,
    next_try text,
    note text not null default ''
);
create index by_job on runs (job, planned);
"""


class State(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    STOPPING = "stopping"  # told to stop by the scheduler, and still at work
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED_ROWS = "failed_rows"
    FAILURE_BUDGET_EXCEEDED = "failure_budget_exceeded"
    STOPPED = "stopped"
    FAILED = "failed"
    SKIPPED = "skipped"
    MISSED = "missed"


AT_WORK = (State.RUNNING, State.STOPPING)
OPEN = (State.WAITING, *AT_WORK, State.RETRYING)


@dataclass(frozen=True, slots=True)
class Run:
    """One time at which a job was due.

    Args:
        planned: when; all moments are in UTC.
        date: what `{date}` stands for, in the schedule's time zone.
        starts: how often a process was started for it, resumptions and retries included.
        failures: how often one ended with an error.
        exit_code: of the last that ended; negative for a signal.
        next_try: not to be started before.
    """

    run_id: str
    job: str
    planned: datetime
    date: str
    state: State
    starts: int = 0
    failures: int = 0
    started: datetime | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    next_try: datetime | None = None
    note: str = ""


MOMENTS = ("planned", "started", "ended", "next_try")


class History:
    """The database in a folder. Used from one thread."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.database = sqlite3.connect(folder / DATABASE, isolation_level=None)
        self.database.row_factory = sqlite3.Row
        self.database.execute("pragma journal_mode=wal")
        self.database.execute("pragma synchronous=full")
        with self.transaction():
            if self.database.execute("pragma user_version").fetchone()[0] == 0:
                for statement in TABLES.split(";"):
                    self.database.execute(statement)
                self.database.execute(f"pragma user_version={VERSION}")

    def close(self) -> None:
        self.database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.database.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.database.execute("rollback")
            raise
        self.database.execute("commit")

    def booked_until(self, job: str) -> datetime | None:
        """The last time of the job that has its run or its note; None for a job that is new here."""
        row = self.database.execute("select until from booked where job = ?", [job]).fetchone()
        return None if row is None else datetime.fromisoformat(row["until"])

    def book(self, job: str, until: datetime, run: Run | None = None) -> None:
        """In one step: the job's times up to `until` are seen to, by this run if there is one."""
        with self.transaction():
            self.database.execute("insert or replace into booked values (?, ?)", [job, in_utc(until)])
            if run is not None:
                self.write("insert or ignore into", run)

    def save(self, run: Run) -> None:
        with self.transaction():
            self.write("insert or replace into", run)

    def write(self, verb: str, run: Run) -> None:
        values = {name: getattr(run, name) for name in Run.__dataclass_fields__}
        values |= {name: in_utc(values[name]) for name in MOMENTS if values[name] is not None}
        marks = ", ".join("?" for _ in values)
        self.database.execute(f"{verb} runs ({', '.join(values)}) values ({marks})", list(values.values()))

    def open_runs(self, job: str | None = None) -> list[Run]:
        """Those that are not over, in the order in which they were due."""
        marks = ", ".join("?" for _ in OPEN)
        text, values = f"select * from runs where state in ({marks})", list(OPEN)
        return self.select(text + (" and job = ?" if job else ""), [*values, *([job] if job else [])])

    def all_runs(self, job: str | None = None) -> list[Run]:
        return self.select("select * from runs" + (" where job = ?" if job else ""), [job] if job else [])

    def select(self, text: str, values: list[Any]) -> list[Run]:
        rows = self.database.execute(f"{text} order by planned, job", values).fetchall()
        return [run_of(row) for row in rows]


def in_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def run_of(row: sqlite3.Row) -> Run:
    values = dict(row)
    values |= {name: datetime.fromisoformat(values[name]) for name in MOMENTS if values[name] is not None}
    return Run(**{**values, "state": State(values["state"])})
