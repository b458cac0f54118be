"""The same job to an S3 bucket and to the local disk, in turn, with a generator of known speed."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagen_model.flat_colour import FlatColourGenerator
from imagen_model.generation import GenerationRequest, Generator, RequestRules, Result
from pipelines.batch import run_batch
from pipelines.errors import InvalidJob
from pipelines.job import BatchJob, Pool
from pipelines.storage import Store, check_writable, open_store

from .tables import write_prompts

VARIABLE = "IMAGEGEN_BENCH_BUCKET"
BATCH = 16
BATCH_SECONDS = 0.05
ROWS = 4_000
LAYOUTS = ("imagefolder", "webdataset")


class SteadyGenerator(FlatColourGenerator):
    """Takes `BATCH_SECONDS` for a batch and no core meanwhile, as a GPU would."""

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Result]:
        time.sleep(BATCH_SECONDS)
        return super().generate(requests)


@dataclass(frozen=True)
class SteadySource:
    """Where workers get it."""

    name: str = "steady"
    revision: str = "steady-1"
    rules: RequestRules = FlatColourGenerator.rules

    def load(self, batch_size: int | None = None, device: str = "auto") -> Generator:
        return SteadyGenerator(batch_size or BATCH)


def measure_object_store(rounds: int) -> dict[str, Any]:
    """Images a second of one worker to the bucket beside the same to the local disk.

    Raises:
        InvalidJob: no bucket is named.
        StoreError: it cannot be written to.
    """
    bucket = os.environ.get(VARIABLE, "")
    if "://" not in bucket:
        raise InvalidJob(
            f"the object-store benchmark needs a bucket; set {VARIABLE}=s3://BUCKET/FOLDER, and AWS_ENDPOINT_URL and "
            "credentials for a server other than Amazon's (infra/s3/gateway.sh starts one)"
        )
    check_writable(open_store(bucket))
    found: dict[str, Any] = {
        "rows": ROWS,
        "batch": BATCH,
        "batch_seconds": BATCH_SECONDS,
        "generator_images_per_second": BATCH / BATCH_SECONDS,
    }
    for layout in LAYOUTS:
        local, remote = [], []
        for _ in range(rounds):
            local.append(rate(None, layout))
            remote.append(rate(bucket, layout))
        found[layout] = {
            "disk_images_per_second": round(statistics.median(local), 1),
            "bucket_images_per_second": round(statistics.median(remote), 1),
            "ratio": round(statistics.median(far / near for far, near in zip(remote, local, strict=True)), 3),
        }
    return found


def rate(bucket: str | None, layout: str) -> float:
    """Images a second of one run, from its first micro-batch to its last commit; its output is removed again."""
    with tempfile.TemporaryDirectory(prefix="imagegen-bench-") as folder:
        table = write_prompts(Path(folder) / "prompts.parquet", ROWS)
        output = f"{bucket.rstrip('/')}/bench-{uuid.uuid4().hex}" if bucket else f"{folder}/out"
        pool = Pool(workers=1, batch_size=BATCH)
        job = BatchJob(str(table), output, output_format=layout, report=False, log_file=f"{folder}/ray.log", pool=pool)
        try:
            return run_batch(job, source=SteadySource()).images_per_second
        finally:
            if bucket:
                clear(open_store(output))


def clear(store: Store) -> None:
    for found in list(store.list("")):
        store.delete(found.key)
    store.sweep()
