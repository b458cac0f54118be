"""One job on a cluster that changes under it: a node joins, one is drained, one dies, and at last the head.

`python -m jobs.bench.cluster` and the fault campaign have the long forms.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from pipelines.job import BatchJob
from pipelines.manifest import finished_shards
from pipelines.storage import LocalStore
from pipelines.verify import verify
from tests.cluster.nodes import nodes_running, start_job, wait_until
from tests.faults.outcome import Outcome, look
from tests.inline import run_inline

ROWS, SHARD_ROWS, BATCH, SLEEP = 1600, 8, 4, 0.1
SHARDS_AT_A_WORKER = 2


@dataclass
class Story:
    """What happened. `made`: process -> images that its model made, stored or not."""

    folder: Path
    joined: list[int] = field(default_factory=list)
    drained: list[int] = field(default_factory=list)
    status: int = 0
    done_before: set[int] = field(default_factory=set)
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def store(self) -> LocalStore:
        return LocalStore(str(self.folder / "out"))

    def made(self, worker: int | None = None) -> int:
        files = [self.folder / "pids" / str(worker)] if worker else list((self.folder / "pids").iterdir())
        return sum(int(line) for path in files for line in path.read_text().split())

    def stored(self, worker: int | None = None) -> int:
        table = pads.dataset(self.folder / "out/manifest").to_table(["worker"])
        names = [name.rpartition(":")[2] for name in table["worker"].to_pylist()]
        return len(names) if worker is None else names.count(str(worker))

    def settled(self, worker: int) -> bool:
        """Whether it makes no more images, and all that it made are stored."""
        before = self.made(worker)
        time.sleep(3 * BATCH * SLEEP)
        return self.made(worker) == before == self.stored(worker)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "pids").mkdir()
    prompts = pa.table({"prompt": [f"picture {index}" for index in range(ROWS)]})
    pq.write_table(prompts, folder / "prompts.parquet")
    found = Story(folder)
    asked = {"prompts": str(folder / "prompts.parquet"), "output": str(folder / "out"), "shard_rows": SHARD_ROWS}
    asked |= {"log_file": str(folder / "ray.log"), "pids": str(folder / "pids")}
    with nodes_running(2, 1, folder) as nodes:
        driver = start_job({**asked, "sleep": SLEEP, "workers": None, "ray_address": nodes.address}, folder)
        try:
            wait_until("both nodes work", lambda: all(nodes.workers(i, folder / "pids") for i in (0, 1)), driver)
            wait_until("shards are done", lambda: len(finished_shards(found.store)) >= 4, driver)
            nodes.join()
            wait_until("the third node works", lambda: nodes.workers(2, folder / "pids"), driver)
            found.joined = nodes.workers(2, folder / "pids")
            found.drained = nodes.workers(0, folder / "pids")
            nodes.tell("drain 0 120")
            wait_until("the drained node has no work", lambda: found.settled(found.drained[0]), driver)
            nodes.tell("leave 0")
            nodes.kill(1)
            done = len(finished_shards(found.store))
            wait_until("the job goes on", lambda: len(finished_shards(found.store)) > done + 3, driver)
            nodes.kill_head()
            driver.communicate(timeout=60)
        finally:
            if driver.poll() is None:
                driver.kill()
            found.status = driver.wait()
    found.done_before = finished_shards(found.store)
    again = start_job({**asked, "sleep": 0.0}, folder)
    said, _ = again.communicate(timeout=300)
    found.summary = json.loads(said)
    yield found


def test_a_node_that_joins_is_used(story: Story) -> None:
    assert len(story.joined) == 1 and story.stored(story.joined[0]) > SHARD_ROWS


def test_a_drained_node_loses_nothing(story: Story) -> None:
    assert len(story.drained) == 1
    assert story.made(story.drained[0]) == story.stored(story.drained[0]) > 0


def test_a_head_that_dies_ends_the_job_and_its_resubmission_goes_on(story: Story) -> None:
    assert story.status != 0
    assert 0 < len(story.done_before) < ROWS // SHARD_ROWS
    assert story.summary["complete"] and story.summary["shards_skipped"] == len(story.done_before)
    assert verify(str(story.folder / "out")).ok


def test_what_nodes_cost_that_die_is_their_shards_in_flight(story: Story) -> None:
    """One node died, and the head with the node that was left: two workers, with two shards each."""
    assert story.stored() == ROWS
    assert 0 <= story.made() - ROWS <= 2 * SHARDS_AT_A_WORKER * SHARD_ROWS


def test_the_bytes_are_those_of_an_undisturbed_run(story: Story, quiet: Outcome) -> None:
    assert look(story.store) == quiet


@pytest.fixture(scope="module")
def quiet(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    output = str(tmp_path_factory.mktemp("quiet") / "out")
    job = BatchJob(str(story.folder / "prompts.parquet"), output, model="flat-colour", shard_rows=SHARD_ROWS)
    run_inline(job)
    return look(LocalStore(output))
