"""`--dry-run`: what a job would do, with the time and bytes that a short measurement leads one to expect."""

from __future__ import annotations

import os

from imagen_model.open_models.options import AUTO
from pipelines.batch import Preview, preview
from pipelines.job import BatchJob

from .display import duration, size_of
from .measurement import Measurement, measure


def dry_run(job: BatchJob) -> str:
    """The plan as text; the output is not touched."""
    plan = preview(job)
    cost = measure(job) if plan.images_left else None
    workers = job.pool.workers or os.cpu_count() or 1
    return describe(plan, cost, workers)


def describe(plan: Preview, cost: Measurement | None, workers: int) -> str:
    columns = ", ".join(f"{part} from {name!r}" for part, name in plan.columns.items())
    passed = ", ".join(plan.passed_columns) or "none"
    each = 0.0 if cost is None else cost.generate_seconds + (cost.encode_seconds or 0.0)
    seconds = plan.images_left * each / workers
    together = f", micro-batch {plan.micro_batch}" if plan.micro_batch is not None else ""
    together += " (not measured)" if plan.micro_batch == AUTO else ""
    return "\n".join(
        (
            f"rows     {plan.rows:,} in {plan.files:,} file{'s' * (plan.files != 1)}",
            f"columns  {columns}; passed through: {passed}",
            f"shards   {plan.shards:,}, {plan.shards_done:,} done",
            f"images   {plan.images:,}, {plan.images_left:,} left",
            f"model    {plan.model} ({plan.model_revision}){together}",
            f"time     about {duration(seconds)} on {workers} workers of this machine's speed, start-up apart",
            f"bytes    about {size_of(plan.images_left * (0.0 if cost is None else cost.bytes))}",
            "nothing was written (--dry-run)",
        )
    )
