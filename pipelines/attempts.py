"""Which rows were in flight when a worker died, so that a row that kills its process is found and left out.

While a shard is worked on, `.run/attempts/00042.json` holds how often it was begun in this run. The first
attempt writes no more than that. A shard begun again was cut short by a death: from then on each micro-batch
is written down before it runs. Rows that were in flight at a death become suspects; a suspect runs alone, first
thing in the next attempt; one that was alone in flight at two deaths is condemned. A kill from outside hits the
same lone row twice only by bad luck, and a kill of the driver never counts: files of another run are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any

from .storage import Store

ATTEMPTS = ".run/attempts"
DEATHS_TO_CONDEMN = 2
MAX_DEATHS = 20  # of one shard in one run; after that its unfinished rows are given up together


@dataclass(slots=True)
class Journal:
    """Args:
    run_id: of the driver's run; another's journal counts for nothing.
    attempt: 1 at the shard's first beginning in this run.
    in_flight: rows of the micro-batch that is running.
    suspects: rows that were in flight at a death.
    lone_deaths: row -> deaths at which it was alone in flight.
    """

    run_id: str
    attempt: int = 1
    in_flight: list[int] = field(default_factory=list)
    suspects: list[int] = field(default_factory=list)
    lone_deaths: dict[int, int] = field(default_factory=dict)

    @property
    def condemned(self) -> set[int]:
        return {row for row, deaths in self.lone_deaths.items() if deaths >= DEATHS_TO_CONDEMN}

    @property
    def given_up(self) -> bool:
        return self.attempt > MAX_DEATHS


class Attempts:
    """The journal of one shard in the store. It is read here, while the model may still be busy with another shard.

    Attributes:
        interrupted: whether an earlier attempt, in this run or another, was cut short.
    """

    def __init__(self, store: Store, shard: int, run_id: str) -> None:
        self.store = store
        self.key = f"{ATTEMPTS}/{shard:05d}.json"
        self.journal = Journal(run_id)
        before = self.load()
        self.interrupted = before is not None
        if before is not None and before.run_id == run_id:
            self.journal = after_death(before)

    def begin(self) -> Journal:
        """Count this attempt, which has learnt from the one before it."""
        self.save()
        return self.journal

    def load(self) -> Journal | None:
        try:
            fields: dict[str, Any] = json.loads(self.store.read(self.key))
            fields["lone_deaths"] = {int(row): deaths for row, deaths in fields["lone_deaths"].items()}
            return Journal(**fields)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return Journal("unreadable")

    def save(self) -> None:
        self.store.put(self.key, json.dumps(asdict(self.journal), sort_keys=True).encode())

    def running(self, rows: Collection[int]) -> None:
        """Write down what is about to run; nothing at the first attempt, which is the usual one."""
        if self.journal.attempt > 1:
            self.journal.in_flight = sorted(set(rows))
            self.save()

    def survived(self, rows: Collection[int]) -> None:
        """These rows are through, their files included."""
        if self.journal.attempt > 1:
            self.journal.in_flight = []
            self.journal.suspects = [row for row in self.journal.suspects if row not in rows]
            self.save()

    def end(self) -> None:
        """The shard is committed."""
        self.store.delete(self.key)


def after_death(before: Journal) -> Journal:
    deaths = dict(before.lone_deaths)
    if len(before.in_flight) == 1:
        deaths[before.in_flight[0]] = deaths.get(before.in_flight[0], 0) + 1
    return Journal(
        before.run_id,
        before.attempt + 1,
        suspects=sorted({*before.suspects, *before.in_flight}),
        lone_deaths=deaths,
    )
