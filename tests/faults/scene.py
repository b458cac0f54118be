"""Where a faulted run plays: prompts and output on the gateway, a proxy before it, the driver in its own process."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.job import BatchJob
from pipelines.manifest import finished_shards
from pipelines.s3_store import S3Store
from pipelines.storage import Store, open_store
from tests.inline import run_inline

from .outcome import SHARD_ROWS, Outcome, look
from .proxy import FaultProxy

ROOT = Path(__file__).parents[2]
BUCKET = "imagegen-faults"
ROWS = 72
SLEEP = 0.04  # seconds a picture
PATIENCE = 900.0  # seconds after which a driver that shows no end counts as stuck
TRIES = 6  # of a rerun until it is done


class Stuck(Exception):
    """A run did not get on."""


@dataclasses.dataclass
class Scene:
    """What a fault works with.

    Args:
        gateway: folder of the gateway.
        output: URL or folder; `store` reaches it without the proxy.
        prompts: URL of the table.
        layout: imagefolder, webdataset or parquet.
        log: what was done, for the report.
    """

    random: random.Random
    gateway: Path
    proxy: FaultProxy
    store: Store
    output: str
    prompts: str
    layout: str
    folder: Path
    ray_address: str | None = None
    poisoned: int | None = None
    sleep: float = SLEEP
    log: list[str] = dataclasses.field(default_factory=list)
    drivers: list[subprocess.Popen[str]] = dataclasses.field(default_factory=list)

    @property
    def pids(self) -> Path:
        return self.folder / "pids"

    def start(self) -> subprocess.Popen[str]:
        asked: dict[str, Any] = {"prompts": self.prompts, "output": self.output, "shard_rows": SHARD_ROWS}
        asked |= {"sleep": self.sleep, "pids": str(self.pids), "log_file": str(self.folder / "ray.log")}
        asked["output_format"] = self.layout
        if self.ray_address is not None:
            asked["ray_address"] = self.ray_address
        errors = (self.folder / "driver.err").open("a")
        driver = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.drive", json.dumps(asked)],
            cwd=ROOT,
            env={**os.environ, "AWS_ENDPOINT_URL": self.proxy.url, "RAY_TMPDIR": str(self.folder / "ray")},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        self.drivers.append(driver)
        return driver

    def finished(self) -> int:
        return len(finished_shards(self.store))

    def reach(self, driver: subprocess.Popen[str], wanted: Callable[[], bool]) -> None:
        """Wait for the condition; returns early if the driver ends before."""
        end = time.monotonic() + PATIENCE
        while driver.poll() is None and not wanted():
            if time.monotonic() > end:
                raise Stuck(f"the driver did not get to the fault; {self.said()}")
            time.sleep(0.1)

    def midway(self, driver: subprocess.Popen[str]) -> None:
        """Wait for a random moment of the run, at which some shards are done and others are not."""
        goal = self.finished() + self.random.randint(0, ROWS // SHARD_ROWS // 2)
        self.reach(driver, lambda: bool(list(self.pids.iterdir())) and self.finished() >= goal)
        time.sleep(self.random.random() * SLEEP * SHARD_ROWS)
        self.log.append(f"after {self.finished()} shards")

    def end(self, driver: subprocess.Popen[str]) -> int:
        """The driver's exit status."""
        try:
            driver.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.communicate()
            raise Stuck(f"the driver did not end; {self.said()}") from None
        self.log.append(f"driver {driver.returncode}")
        if driver.returncode > 0:
            self.log.append(self.said()[-300:])
        return driver.returncode

    def until_done(self) -> int:
        """Run again until a run ends well; returns how many runs that took."""
        for number in range(1, TRIES + 1):
            if self.end(self.start()) == 0:
                return number
            time.sleep(1)
        raise Stuck(f"{TRIES} reruns did not finish; {self.said()}")

    def said(self) -> str:
        return "the drivers said: " + (self.folder / "driver.err").read_text()[-1500:]


@contextmanager
def scene(gateway: Path, name: str, seed: int, layout: str, prompts: str) -> Iterator[Scene]:
    """A scene of its own, its objects and processes gone afterwards."""
    endpoint = os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2]
    url = f"s3://{BUCKET}/{name}"
    store = open_store(url)
    folder = Path(tempfile.mkdtemp(prefix="if-", dir="/tmp"))  # short: Ray's sockets lie below it
    (folder / "pids").mkdir()
    (folder / "ray").mkdir()
    with FaultProxy("127.0.0.1", int(endpoint), seed) as proxy:
        stage = Scene(random.Random(seed), gateway, proxy, store, url, prompts, layout, folder)
        try:
            yield stage
        finally:
            for driver in stage.drivers:
                if driver.poll() is None:
                    driver.send_signal(signal.SIGKILL)
                    driver.wait()
            clear(store)
            shutil.rmtree(folder, ignore_errors=True)


def clear(store: Store) -> None:
    for found in list(store.list("")):
        store.delete(found.key)
    store.sweep()


def write_prompts(prefix: str, poisoned: int | None = None) -> str:
    """The table in two Parquet files; its URL. One row may kill its worker."""
    texts = [f"picture {index}" if index != poisoned else "POISON" for index in range(ROWS)]
    store = open_store(f"s3://{BUCKET}/{prefix}")
    for number, part in enumerate((texts[: ROWS // 3], texts[ROWS // 3 :])):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"prompt": part}), sink, row_group_size=20)
        store.put(f"part-{number}.parquet", sink.getvalue().to_pybytes())
    return f"{store.url}/"


def make_bucket() -> None:
    client = S3Store(f"s3://{BUCKET}").client
    client.create_bucket(Bucket=BUCKET)


def quiet_outcome(layout: str, prompts: str) -> Outcome:
    """Of a run that nothing disturbs: in this process, without Ray, straight to the server."""
    store = open_store(f"s3://{BUCKET}/quiet-{layout}")
    job = BatchJob(prompts, store.url, model="flat-colour", shard_rows=SHARD_ROWS, output_format=layout)
    run_inline(job)
    found = look(store)
    clear(store)
    return found
