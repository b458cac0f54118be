"""Nodes with one logical GPU each and a model that takes 100 ms an image: what the pipeline loses as nodes are added.

The model sleeps, as a process does that waits for its GPU, so that two cores can play eight GPUs; everything else
is real: reading, Ray, encoding, hashing, files, manifests. Nothing runs beside it to compare with, for a clock is
the ideal: as many images a second as there are GPUs, times ten. The times come from the manifests.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.dataset as pads

from pipelines.batch import run_batch
from pipelines.job import BatchJob, Pool

from ..console import say
from .sleeper import SleepingSource
from .tables import write_prompts

SECONDS, BATCH, SIZE = 0.1, 8, "64x64"
CASES = {1: 500, 2: 1_000, 3: 1_500, 4: 2_000, 8: 20_000}  # nodes -> images: 50 seconds of each GPU, of eight 250
OBJECT_STORE = 100 * 2**20  # bytes a node


@dataclass(frozen=True, slots=True)
class Span:
    """One worker's work: how many images, and when (Unix time) its first and its last left the model."""

    images: int
    first: float
    last: float

    @property
    def begun(self) -> float:
        """When its first batch went to the model."""
        return self.first - SECONDS * BATCH

    @property
    def rate(self) -> float:
        """Images a second from the end of its first batch to the end of its last."""
        return (self.images - BATCH) / (self.last - self.first)


def measure_cluster(cases: dict[int, int] = CASES) -> dict[str, Any]:
    found: dict[str, Any] = {"cores": os.cpu_count() or 1, "seconds_an_image": SECONDS, "batch": BATCH, "size": SIZE}
    for nodes, images in cases.items():
        say(f"cluster: {images} images on {nodes} node{'s' * (nodes > 1)}, {images * SECONDS / nodes:.0f} s at best")
        found[f"nodes_{nodes}"] = measure_nodes(nodes, images)
    return found


def measure_nodes(nodes: int, images: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="imagegen-bench-") as folder, cluster_of(nodes) as address:
        table = write_prompts(Path(folder) / "prompts.parquet", images)
        pool = Pool(workers=nodes, batch_size=BATCH, ray_address=address)
        job = BatchJob(str(table), f"{folder}/out", model="flat-colour", size=SIZE, pool=pool)
        before = time.process_time()
        summary = run_batch(job, source=SleepingSource(BATCH, seconds_an_image=SECONDS))
        driver = time.process_time() - before
        spans = spans_of(Path(folder) / "out")
    ideal = nodes / SECONDS
    begun, ended = min(span.begun for span in spans), max(span.last for span in spans)
    steady = sum(span.rate for span in spans)
    return {
        "images": images,
        "shards": summary.shards,
        "workers": len(spans),
        "ideal_images_per_second": ideal,
        "steady_images_per_second": round(steady, 2),
        "steady_ratio": round(steady / ideal, 4),
        "whole_run_ratio": round(images / (ended - begun) / ideal, 4),
        "least_busy_worker": round(min(span.rate for span in spans) * SECONDS, 4),
        "longest_wait_at_the_end": round(max(ended - span.last for span in spans) / (ended - begun), 4),
        "longest_wait_at_the_start_seconds": round(max(span.begun for span in spans) - begun, 2),
        "driver_cpu_ms_an_image": round(driver / images * 1000, 3),
    }


def spans_of(output: Path) -> list[Span]:
    """Of each worker, from the manifests."""
    table = pads.dataset(output / "manifest").to_table(["worker", "created_at"])
    found: dict[str, list[float]] = {}
    for worker, moment in zip(table["worker"].to_pylist(), table["created_at"].to_pylist(), strict=True):
        found.setdefault(worker, []).append(moment.timestamp())
    return [Span(len(moments), min(moments), max(moments)) for moments in found.values()]


@contextmanager
def cluster_of(nodes: int) -> Iterator[str]:
    """A Ray cluster's address: a head that runs no worker, and nodes of one logical GPU."""
    # Ray's 15 would let whatever else the machine does come first.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    from pipelines.ray_flow import import_path  # before Ray itself, which reads what it sets

    with import_path():
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": OBJECT_STORE, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(nodes):
                cluster.add_node(num_cpus=2, num_gpus=1, object_store_memory=OBJECT_STORE)
            yield cluster.address
        finally:
            cluster.shutdown()
