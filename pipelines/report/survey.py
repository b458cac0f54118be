"""What an output holds, for its report: counts of all shards, and the rows of those that the gallery shows.

Counts and passes come from the footers of all manifests, rows only from so many shards as the gallery can hold.
Memory is therefore bounded, whatever the size of the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from ..census import Census, census_of
from ..history import Run, read_history
from ..manifest import SUCCESS, Entry, ManifestSchema, finished_shards, read_footer, read_manifest
from ..passes import Pass
from ..plan import Plan, load_plan
from ..status import running
from ..storage import Store

MOST_SHOWN = 100_000  # pictures and failures in the gallery
MOST_FAILURES = 1000  # rows listed of each error code
AT_ONCE = 256  # manifests in memory
FAILURE_COLUMNS = ("row", "id", "image_index", "prompt", "status", "error_code", "error_message")


@dataclass(frozen=True, slots=True)
class Survey:
    """Args:
    finished: numbers of the finished shards, in order.
    shown: those of them whose rows are in `rows`, in order.
    rows: manifest rows of the shown shards.
    schema: of the manifest; None where no shard is finished.
    failures: the first manifest rows of each error code, over all shards.
    passes: over all finished shards.
    running: host and process of a run that is at work now; None for none.
    """

    plan: Plan
    census: Census
    finished: tuple[int, ...]
    shown: tuple[int, ...]
    rows: pa.Table
    schema: ManifestSchema | None
    failures: dict[str, list[Entry]]
    passes: list[Pass]
    history: list[Run]
    running: str | None

    @property
    def as_of(self) -> datetime | None:
        """When the newest of it was made. Not the time of asking: the same output gives the same report."""
        times = [each.made for each in self.passes] + [run.ended for run in self.history if run.ended]
        return datetime.fromtimestamp(max(times), UTC) if times else None


def take_survey(store: Store, most_shown: int = MOST_SHOWN) -> Survey:
    """Raises:
    NoPlan: the store holds no run.
    StoreError: a manifest is damaged.
    """
    plan = load_plan(store)
    present = finished_shards(store)
    finished = [number for number, _, _ in plan.bounds() if number in present]
    history = read_history(store)
    with ThreadPoolExecutor(store.threads) as threads:
        footers = dict(zip(finished, threads.map(lambda number: read_footer(store, number), finished), strict=True))
    counted = {number: census_of(footer.rows, footer.counts, number) for number, footer in footers.items()}
    shown = choose_shown({number: footer.rows for number, footer in footers.items()}, most_shown)
    tables = dict(zip(shown, each_table(store, shown), strict=True))
    return Survey(
        plan=plan,
        census=sum(counted.values(), Census()),
        finished=tuple(finished),
        shown=tuple(shown),
        rows=pa.concat_tables(tables.values()) if tables else pa.table({}),
        schema=ManifestSchema.stored(tables[shown[0]].schema) if tables else None,
        failures=first_failures(each_table(store, failing_shards(counted), FAILURE_COLUMNS)),
        passes=[each for footer in footers.values() for each in footer.passes],
        history=history,
        running=running(store) if history and history[-1].outcome is None else None,
    )


def each_table(store: Store, shards: Sequence[int], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    with ThreadPoolExecutor(store.threads) as threads:
        for start in range(0, len(shards), AT_ONCE):
            yield from threads.map(lambda n: read_manifest(store, n, columns), shards[start : start + AT_ONCE])


def choose_shown(sizes: Mapping[int, int], most: int) -> list[int]:
    """All shards, or every second, fourth, ... of them: what a larger run shows was shown when it was smaller.

    Args:
        sizes: rows of each shard, in order.
        most: rows together.
    """
    step = 1
    while True:
        chosen = [number for number in sizes if number % step == 0]
        if len(chosen) <= 1 or sum(sizes[number] for number in chosen) <= most:
            return chosen
        step *= 2


def failing_shards(counted: Mapping[int, Census]) -> list[int]:
    """The first shards that hold the first `MOST_FAILURES` rows of every code."""
    had: Counter[str] = Counter()
    chosen = []
    for number, census in counted.items():
        if any(had[code] < MOST_FAILURES for code in census.codes):
            chosen.append(number)
        had += census.codes
    return chosen


def first_failures(tables: Iterable[pa.Table]) -> dict[str, list[Entry]]:
    """The first rows of each error code.

    Args:
        tables: with `FAILURE_COLUMNS`.
    """
    found: dict[str, list[Entry]] = {}
    for table in tables:
        for entry in table.filter(pc.not_equal(table.column("status"), SUCCESS)).to_pylist():
            rows = found.setdefault(entry["error_code"], [])
            if len(rows) < MOST_FAILURES:
                rows.append(entry)
    return found
