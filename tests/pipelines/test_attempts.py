"""A row that kills its process is found in a bounded number of deaths; a good row never is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_model.flat_colour import FlatColourGenerator
from pipelines.attempts import MAX_DEATHS, Attempts
from pipelines.lease import LEASE, STALE, Holder, Lease, boot_id
from pipelines.stage import Item, micro_batches
from pipelines.storage import LocalStore, open_store


class Died(Exception):
    pass


def attempt(folder: str, rows: int, poison: set[int], run_id: str, batch: int = 4) -> set[int]:
    """One attempt at a shard as the stage makes it; the condemned rows, or `Died`."""
    attempts = Attempts(LocalStore(folder), 0, run_id)
    journal = attempts.begin()
    if journal.given_up:
        attempts.end()
        return set(range(rows))
    condemned: set[int] = set()
    items = [Item(row, None, 0, None, {}) for row in range(rows)]  # type: ignore[arg-type]
    for micro in micro_batches(items, {*journal.suspects, *journal.condemned}, FlatColourGenerator(batch)):
        numbers = [item.row for item in micro]
        attempts.running(numbers)
        if len(numbers) == 1 and numbers[0] in journal.condemned:
            condemned.add(numbers[0])
        elif poison & set(numbers):
            raise Died
        attempts.survived(numbers)
    attempts.end()
    return condemned


def deaths_until_done(folder: str, rows: int, poison: set[int], run_id: str = "run") -> tuple[int, set[int]]:
    for deaths in range(MAX_DEATHS + 2):
        try:
            return deaths, attempt(folder, rows, poison, run_id)
        except Died:
            continue
    raise AssertionError("never done")


@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(0, 19), max_size=5))
def test_exactly_the_poison_rows_are_condemned(tmp_path_factory: pytest.TempPathFactory, poison: set[int]) -> None:
    deaths, condemned = deaths_until_done(str(tmp_path_factory.mktemp("store")), 20, poison)
    assert condemned == poison
    assert deaths <= 1 + 3 * len(poison)


def test_a_shard_full_of_poison_ends_too(tmp_path: Path) -> None:
    deaths, condemned = deaths_until_done(str(tmp_path), 40, set(range(40)))
    assert deaths == MAX_DEATHS and condemned == set(range(40))
    assert not list(open_store(str(tmp_path)).list(".run/attempts"))


def test_kills_of_the_driver_condemn_nothing(tmp_path: Path) -> None:
    for run in range(6):
        with pytest.raises(Died):
            attempt(str(tmp_path), 20, {5}, f"run {run}")
    deaths, condemned = deaths_until_done(str(tmp_path), 20, set())
    assert (deaths, condemned) == (0, set())


def test_a_damaged_journal_counts_for_nothing(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    store.put(".run/attempts/00000.json", b"{half")
    attempts = Attempts(store, 0, "run")
    assert attempts.begin().attempt == 1 and attempts.interrupted


def holder(**changes: object) -> Holder:
    import os
    import socket
    import time

    fields = {"token": "t", "host": socket.gethostname(), "pid": os.getpid(), "boot": boot_id()}
    return Holder(**{**fields, "heartbeat": time.time(), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "dead"),
    [
        ({}, False),
        ({"pid": 2**22 + 1}, True),
        ({"boot": "another boot"}, True),
        ({"host": "elsewhere", "pid": 2**22 + 1}, False),
        ({"host": "elsewhere", "heartbeat": 0.0}, True),
        ({"heartbeat": 0.0}, True),
    ],
)
def test_who_counts_as_dead(changes: dict[str, object], dead: bool) -> None:
    import time

    assert STALE == 60
    assert holder(**changes).dead(time.time()) is dead


def test_one_run_at_a_time(tmp_path: Path) -> None:
    import json
    from dataclasses import asdict

    from pipelines.errors import OutputLocked

    store = LocalStore(str(tmp_path))
    with Lease(store), pytest.raises(OutputLocked, match="process"), Lease(store):
        pass
    assert not store.exists(LEASE)
    store.put(LEASE, json.dumps(asdict(holder(pid=2**22 + 1))).encode())
    with Lease(store) as lease:
        found = lease.holder()
        assert found is not None and found.token == lease.token
    assert not store.exists(LEASE)
