"""The pipeline's images a second beside what it stands on: the bare model, and the bare encoder."""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from pipelines.batch import run_batch
from pipelines.job import BatchJob, Pool
from pipelines.progress import Summary

from .bare import bare_rate
from .tables import write_prompts

ENCODER_ROWS = 6_000
ENCODER_SIZE = "512x512"


def measure_pipeline(images: int, rounds: int) -> dict[str, Any]:
    """imagen-small through Ray Data, one worker a core, beside one bare loop a core.

    The rate is that from the first micro-batch to the end of the run; what start-up costs stands beside it.
    """
    cores = os.cpu_count() or 1
    through, bare, starts = [], [], []
    for _ in range(rounds):
        bare.append(bare_rate("model", images, cores))
        summary = run_through("imagen-small", images, None, cores)
        through.append(summary.images_per_second)
        starts.append(summary.startup)
    return {
        "cores": cores,
        "images": images,
        "pipeline_images_per_second": round(statistics.median(through), 2),
        "bare_images_per_second": round(statistics.median(bare), 2),
        "ratio": ratio(through, bare),
        "startup_seconds": {part: statistics.median(start[part] for start in starts) for part in starts[0]},
    }


def measure_encoder(rounds: int) -> dict[str, Any]:
    """A flat-colour generator at 512x512 PNG through the pipeline to local disk, beside encoding alone."""
    cores = os.cpu_count() or 1
    through, bare = [], []
    for _ in range(rounds):
        bare.append(bare_rate("encoder", ENCODER_ROWS, cores))
        through.append(run_through("flat-colour", ENCODER_ROWS, ENCODER_SIZE, cores).images_per_second)
    return {
        "cores": cores,
        "rows": ENCODER_ROWS,
        "size": ENCODER_SIZE,
        "pipeline_rows_per_second": round(statistics.median(through), 1),
        "encoder_images_per_second": round(statistics.median(bare), 1),
        "ratio": ratio(through, bare),
    }


def run_through(model: str, images: int, size: str | None, cores: int) -> Summary:
    with tempfile.TemporaryDirectory(prefix="imagegen-bench-") as folder:
        table = write_prompts(Path(folder) / "prompts.parquet", images)
        job = BatchJob(str(table), f"{folder}/out", model=model, size=size, pool=Pool(workers=cores))
        return run_batch(job)


def ratio(ours: list[float], other: list[float]) -> float:
    """Median of the ratios round by round, so that a drifting machine cancels out."""
    return round(statistics.median(one / two for one, two in zip(ours, other, strict=True)), 3)
