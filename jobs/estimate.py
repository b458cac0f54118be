"""`--dry-run`: what a job would do, with the time and bytes that a short calibration leads one to expect."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from imagen_model.generation import Success
from pipelines.batch import Preview, preview, source_of
from pipelines.encoding import Encoder
from pipelines.job import BatchJob

from .display import duration, size_of


@dataclass(frozen=True, slots=True)
class Calibration:
    """Seconds of one worker and bytes for one image."""

    seconds: float
    bytes: float


def calibrate(job: BatchJob) -> Calibration:
    """Generate and encode one batch in this process, after one that warms up."""
    generator = source_of(job).load(job.pool.batch_size, job.pool.device)
    requests = [job.request(f"a picture of number {index}") for index in range(generator.batch_size)]
    generator.generate(requests)
    began = time.perf_counter()
    encoder = Encoder(job.image_format, job.quality)
    results = generator.generate(requests)
    data = [encoder.encode(result.image) for result in results if isinstance(result, Success)]
    seconds = time.perf_counter() - began
    return Calibration(seconds / len(requests), sum(map(len, data)) / max(1, len(data)))


def dry_run(job: BatchJob) -> str:
    """The plan as text; the output is not touched."""
    plan = preview(job)
    cost = calibrate(job) if plan.images_left else Calibration(0.0, 0.0)
    workers = job.pool.workers or os.cpu_count() or 1
    return describe(plan, cost, workers)


def describe(plan: Preview, cost: Calibration, workers: int) -> str:
    columns = ", ".join(f"{part} from {name!r}" for part, name in plan.columns.items())
    passed = ", ".join(plan.passed_columns) or "none"
    seconds = plan.images_left * cost.seconds / workers
    return "\n".join(
        (
            f"rows     {plan.rows:,} in {plan.files:,} file{'s' * (plan.files != 1)}",
            f"columns  {columns}; passed through: {passed}",
            f"shards   {plan.shards:,}, {plan.shards_done:,} done",
            f"images   {plan.images:,}, {plan.images_left:,} left",
            f"model    {plan.model} ({plan.model_revision})",
            f"time     about {duration(seconds)} on {workers} workers of this machine's speed, start-up apart",
            f"bytes    about {size_of(plan.images_left * cost.bytes)}",
            "nothing was written (--dry-run)",
        )
    )
