"""What only Ray can show: real workers, killed, poisoned, broken, and blocks that stay whole."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import entries, images, job, own_files
from generators import TestSource

from pipelines import errors
from pipelines.batch import run_batch
from pipelines.calibrating import measuring
from pipelines.job import BatchJob, Pool
from pipelines.manifest import finished_shards
from pipelines.ray_flow import check_answers
from pipelines.retry import retry_failed
from pipelines.storage import open_store
from pipelines.verify import verify

pytestmark = pytest.mark.usefixtures("shared_ray")
Table = Callable[..., str]
PROMPTS = [f"picture {index}" for index in range(120)]


def test_one_block_is_one_shard_whatever_its_size(table: Table, tmp_path: Path) -> None:
    path = table({"prompt": PROMPTS}, row_group_size=17)
    summary = run_batch(job(path, tmp_path / "out", workers=2, shard_rows=7), source=TestSource())
    assert (summary.shards_made, summary.images, summary.workers) == (18, 120, 2)
    assert [e["shard"] for e in entries(tmp_path / "out")] == [row // 7 for row in range(120)]
    assert verify(str(tmp_path / "out")).ok
    assert set(summary.startup) == {"imports", "plan", "ray", "first_image"} and summary.images_per_second > 0


def test_reads_run_inside_the_workers() -> None:
    """Fused with the stage: a task of its own could starve beside workers that hold every CPU."""
    from ray.data import ActorPoolStrategy, read_datasource

    from pipelines.ray_flow import Shards
    from pipelines.shard_reader import Shard

    data = read_datasource(Shards([Shard(0, 0, 1, ())]), override_num_blocks=1, num_cpus=1.0, num_gpus=0.5)
    data = data.map(Nothing, compute=ActorPoolStrategy(size=1), num_cpus=1.0, num_gpus=0.5)
    from ray.data._internal.logical.optimizers import get_execution_plan

    assert "->" in get_execution_plan(data._logical_plan)[0].dag.name


class Nothing:
    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return row


def test_what_is_measured_on_a_cluster_runs_in_a_worker() -> None:
    with measuring(Pool(ray_address="127.0.0.1:1")) as call:
        one, another = call(process_that_divides, 1), call(process_that_divides, 1)
        assert os.getpid() not in (one, another) and one != another  # a device's memory is free again
        with pytest.raises(ZeroDivisionError):
            call(process_that_divides, 0)


def process_that_divides(by: int) -> int:
    return os.getpid() // by


def test_killed_workers(table: Table, tmp_path: Path) -> None:
    quiet = tmp_path / "quiet"
    run_batch(job(table({"prompt": PROMPTS}), quiet, shard_rows=60), source=TestSource())
    path, out, pids = table({"prompt": PROMPTS}), tmp_path / "out", tmp_path / "pids"
    pids.mkdir()
    moments = random.Random(5)
    done = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while len(killed) < 3 and not done.wait(0.3 + moments.random()):
            alive = [int(entry.name) for entry in pids.iterdir() if int(entry.name) not in killed]
            if alive and finished_shards(open_store(str(out))):
                killed.append(moments.choice(alive))
                os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        summary = run_batch(job(path, out, workers=2, shard_rows=6), source=TestSource(sleep=0.05, pids=str(pids)))
    finally:
        done.set()
        thread.join()
    assert len(killed) == 3
    assert summary.complete and summary.failed == 0
    assert images(out) == images(quiet)
    assert verify(str(out)).ok and not list((out / ".run/attempts").iterdir())


def test_a_row_that_kills_its_process_is_isolated(table: Table, tmp_path: Path) -> None:
    prompts = [*PROMPTS[:10], "POISON", *PROMPTS[11:24]]
    summary = run_batch(job(table({"prompt": prompts}), tmp_path / "out", shard_rows=8), source=TestSource())
    found = entries(tmp_path / "out")
    assert [e["error_code"] for e in found] == [None] * 10 + ["worker_died"] + [None] * 13
    assert summary.complete and summary.failed == 1 and "died 2 times" in found[10]["error_message"]
    assert verify(str(tmp_path / "out")).ok


def test_a_worker_keeps_the_memory_that_it_has_had(table: Table, tmp_path: Path) -> None:
    run_batch(job(table({"prompt": ["HEAP"]}), tmp_path / "out"), source=TestSource())
    (row,) = entries(tmp_path / "out")
    assert "keeps its heap: True" in row["error_message"]


def test_a_model_that_cannot_be_loaded(table: Table, tmp_path: Path) -> None:
    with pytest.raises(errors.WorkersFailed, match="a worker could not start: RuntimeError: no such weights"):
        run_batch(job(table({"prompt": PROMPTS}), tmp_path / "out"), source=TestSource(broken="no such weights"))
    assert own_files(tmp_path / "out") == set()


def test_more_gpus_than_there_are(table: Table, tmp_path: Path) -> None:
    asked = BatchJob(table({"prompt": PROMPTS}), str(tmp_path / "out"), pool=Pool(workers=1, gpus_per_worker=1))
    with pytest.raises(errors.InvalidJob, match="0 GPUs"):
        run_batch(asked, source=TestSource())
    asked = BatchJob(table({"prompt": PROMPTS}), str(tmp_path / "out"), pool=Pool(device="cuda"))
    with pytest.raises(errors.InvalidJob, match="device cuda: Ray finds no GPU on this machine; give --device cpu"):
        run_batch(asked, source=TestSource())


def test_the_failure_budget_lets_begun_shards_finish(table: Table, tmp_path: Path) -> None:
    prompts = ["" if index % 2 else prompt for index, prompt in enumerate(PROMPTS)]
    with pytest.raises(errors.TooManyFailures, match="empty_prompt"):
        run_batch(
            job(table({"prompt": prompts}), tmp_path / "out", workers=2, shard_rows=6, max_failures="5%"),
            source=TestSource(sleep=0.05),
        )
    store = open_store(str(tmp_path / "out"))
    assert 2 < len(finished_shards(store)) < 15
    assert not list(store.list(".run/attempts"))
    assert not [found.key for found in store.list(".run") if "stop" in found.key]


def test_a_damaged_page_is_named(table: Table, tmp_path: Path) -> None:
    path = Path(table({"prompt": [prompt * 20 for prompt in PROMPTS]}, compression="none"))
    data = bytearray(path.read_bytes())
    data[4:900] = b"\xff" * 896
    path.write_bytes(data)
    with pytest.raises(errors.UnreadableTable, match=r"prompts\.parquet"):
        run_batch(job(str(path), tmp_path / "out"), source=TestSource())


def test_a_cluster_that_is_not_there_is_named_at_once() -> None:
    with pytest.raises(errors.InvalidJob, match=r"no Ray cluster answers at 127\.0\.0\.1:9"):
        check_answers("127.0.0.1:9")


def test_retry_through_ray(table: Table, tmp_path: Path) -> None:
    prompts = [*PROMPTS[:6], f"FAILS-WITHOUT {tmp_path}/cure"]
    out = tmp_path / "out"
    assert run_batch(job(table({"prompt": prompts}), out), source=TestSource()).failed == 1
    (tmp_path / "cure").touch()
    summary = retry_failed(str(out), pool=Pool(workers=1), source=TestSource())
    assert (summary.made_images, summary.failed, summary.complete) == (1, 0, True)
    assert verify(str(out)).ok
