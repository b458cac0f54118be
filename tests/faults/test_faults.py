"""A little of the campaign on every check: python -m tests.faults is the whole of it."""

from __future__ import annotations

from pathlib import Path

from .campaign import campaign


def test_a_few_faulted_runs(gateway: Path) -> None:
    for run in campaign(gateway, [101, 102], ["stormy-network", "kill-driver"], ["imagefolder"]):
        assert run.good, run
