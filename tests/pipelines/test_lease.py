"""The lease as a running job meets it; taking over is tested on a real S3 server in tests/s3."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import job

from pipelines import lease
from pipelines.errors import OutputLocked
from pipelines.lease import LEASE, Lease
from pipelines.manifest import finished_shards
from pipelines.progress import Progress, Summary
from pipelines.storage import open_store


def test_a_running_job_that_lost_its_lease_stops(
    table: Callable[..., str], inline: Callable[..., Summary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT", 0.02)
    store = open_store(str(tmp_path / "out"))
    taker = Lease(store)

    def take_over(progress: Progress) -> None:
        end = time.monotonic() + 1
        while progress.shards_done == 1 and time.monotonic() < end:  # a renewal that was on its way may win once
            store.put(LEASE, taker.content())
            time.sleep(0.01)

    prompts = table({"prompt": [f"picture {index}" for index in range(30)]})
    with pytest.raises(OutputLocked, match="taken over by another run"):
        inline(job(prompts, tmp_path / "out", shard_rows=5), follow=take_over)
    assert taker.is_mine(), "the other run's lease is left alone"
    assert 1 <= len(finished_shards(store)) < 6
