"""The pipeline's images a second beside what it stands on: the bare model, and the bare encoder."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagen_model.open_models.options import NO_OPTIONS, ModelOptions
from pipelines.batch import run_batch
from pipelines.errors import InvalidJob, WorkersFailed
from pipelines.job import BatchJob, Pool
from pipelines.progress import Progress, Summary

from .bare import bare_rate
from .cores import Cores, count_cores
from .tables import write_prompts

ENCODER_ROWS = 6_000
ENCODER_SIZE = "512x512"
SHARDS_A_CORE = 16  # enough that the first and last few may be left out
FEWEST_SHARDS_A_CORE = 4


@dataclass(frozen=True, slots=True)
class Steady:
    """The pipeline while every worker is busy: not before each may have ended its first shard, and not after the first
    may have run out of shards.

    Args:
        core_seconds: a picture, of the driver, the workers and Ray.
        others: cores that other programs had meanwhile.
    """

    rate: float
    core_seconds: float
    others: float


def measure_pipeline(images: int, rounds: int) -> dict[str, Any]:
    """imagen-small through Ray Data, one worker a core, beside one bare loop a core.

    Compared is the steady state; the rate over the whole run, its first and last shards included, and what
    start-up costs stand beside it.
    """
    cores = os.cpu_count() or 1
    through, overall, bare, starts = [], [], [], []
    for _ in range(rounds):
        bare.append(bare_rate("model", images, cores))
        summary, steady = run_through("imagen-small", images, None, cores)
        through.append(steady.rate)
        overall.append(summary.images_per_second)
        starts.append(summary.startup)
    return {
        "cores": cores,
        "images": images,
        "pipeline_images_per_second": round(statistics.median(through), 2),
        "bare_images_per_second": round(statistics.median(bare), 2),
        "whole_run_images_per_second": round(statistics.median(overall), 2),
        "ratio": ratio(through, bare),
        "startup_seconds": {part: statistics.median(start[part] for start in starts) for part in starts[0]},
    }


def measure_encoder(rounds: int) -> dict[str, Any]:
    """A flat-colour generator at 512x512 PNG through the pipeline to local disk, beside encoding alone."""
    cores = os.cpu_count() or 1
    through, overall, bare = [], [], []
    for _ in range(rounds):
        bare.append(bare_rate("encoder", ENCODER_ROWS, cores))
        summary, steady = run_through("flat-colour", ENCODER_ROWS, ENCODER_SIZE, cores)
        through.append(steady.rate)
        overall.append(summary.images_per_second)
    return {
        "cores": cores,
        "rows": ENCODER_ROWS,
        "size": ENCODER_SIZE,
        "pipeline_rows_per_second": round(statistics.median(through), 1),
        "encoder_images_per_second": round(statistics.median(bare), 1),
        "whole_run_rows_per_second": round(statistics.median(overall), 1),
        "ratio": ratio(through, bare),
    }


def run_through(
    model: str,
    images: int,
    size: str | None,
    cores: int,
    options: ModelOptions = NO_OPTIONS,
    steps: int | None = None,
) -> tuple[Summary, Steady]:
    """The run's summary, and its steady state.

    Raises:
        WorkersFailed: a row failed, which is no picture that took its time.
    """
    marks: list[tuple[float, int, Cores]] = []
    heard = 0

    def hear(progress: Progress) -> None:
        """At the start and after each shard."""
        nonlocal heard
        if heard in (cores, progress.shards_total - cores):
            marks.append((time.perf_counter(), progress.images_done, count_cores()))
        heard += 1

    least = cores * FEWEST_SHARDS_A_CORE
    if images < least:
        raise InvalidJob(f"a steady state on {cores} cores takes at least {least} images, got {images}; give --images")
    with tempfile.TemporaryDirectory(prefix="imagegen-bench-") as folder:
        table = write_prompts(Path(folder) / "prompts.parquet", images)
        rows = max(min(8, images // least), images // (cores * SHARDS_A_CORE))
        together = options.micro_batch if isinstance(options.micro_batch, int) else 1
        rows = -(-rows // together) * together  # as a job chooses it: no shard ends with a micro-batch to fill up
        job = BatchJob(
            str(table),
            f"{folder}/out",
            model=model,
            size=size,
            num_inference_steps=steps,
            shard_rows=rows,
            report=False,
            pool=Pool(workers=cores),
            options=options,
        )
        summary = run_batch(job, hear)
    if summary.failed:
        codes = ", ".join(f"{code} {count}" for code, count in summary.codes.items())
        raise WorkersFailed(f"{summary.failed} of {summary.images} pictures failed ({codes}); no speed is told")
    (begun, before, counted), (ended, after, counts) = marks
    images, seconds, spent = after - before, ended - begun, counts - counted
    return summary, Steady(images / seconds, spent.ours / images, (spent.busy - spent.ours) / seconds)


def ratio(ours: list[float], other: list[float]) -> float:
    """Median of the ratios round by round, so that a drifting machine cancels out."""
    return round(statistics.median(one / two for one, two in zip(ours, other, strict=True)), 3)
