"""Planning, resuming and counting of large runs that are half done: time and memory go with shards, not with rows.

`python -m jobs.bench.scale STEP PROMPTS OUTPUT SHARD_ROWS` is one step in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.batch import preview, run_batch
from pipelines.job import BatchJob
from pipelines.progress import Progress
from pipelines.status import read_status

from .half_done import Case, write_half_done
from .memory import high_water_mark

CASES = {
    "10M_rows_10k_shards": Case(10_000_000, 1000),
    "1M_rows_10k_shards": Case(1_000_000, 100),
    "1M_rows_1k_shards": Case(1_000_000, 1000),
}
STEPS = ("plan", "resume", "status")


class Ready(Exception):
    """All is known that a run needs; Ray would be started now."""


def measure_scale(rounds: int) -> dict[str, Any]:
    """Each step on each case in a process of its own: the fastest of the rounds, and peak resident memory."""
    with tempfile.TemporaryDirectory(prefix="imagegen-bench-") as folder:
        jobs = {}
        for index, (name, case) in enumerate(CASES.items()):
            prompts = Path(folder) / f"prompts-{case.rows}"
            jobs[name] = write_half_done(case, prompts, Path(folder) / f"run-{index}", os.cpu_count() or 1)
        found: dict[str, dict[str, list[dict[str, float]]]] = {name: {step: [] for step in STEPS} for name in jobs}
        for _ in range(rounds):
            for name, job in jobs.items():
                for step in STEPS:
                    found[name][step].append(measure_step(step, job, CASES[name]))
    return {
        "files": 20,
        "shards_done": "every second",
        **{name: {step: best(tries) for step, tries in steps.items()} for name, steps in found.items()},
    }


def best(tries: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: min(found[key] for found in tries) for key in tries[0]}


def measure_step(step: str, job: BatchJob, case: Case) -> dict[str, float]:
    command = [sys.executable, "-m", "jobs.bench.scale", step, job.prompts, job.output, str(case.shard_rows)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    result: dict[str, float] = json.loads(said)
    return result


def plan(job: BatchJob) -> None:
    """A first run's plan, as `--dry-run` makes it."""
    with tempfile.TemporaryDirectory(prefix="imagegen-bench-") as folder:
        preview(BatchJob(job.prompts, f"{folder}/out", model=job.model, shard_rows=job.shard_rows))


def resume(job: BatchJob) -> None:
    """A second run until Ray would start."""

    def stop(_: Progress) -> None:
        raise Ready

    try:
        run_batch(job, stop)
    except Ready:
        return
    raise AssertionError("nothing was left to do")


def status(job: BatchJob) -> None:
    done = read_status(job.output)
    assert done.images == done.rows_done > 0.49 * done.rows


def main(arguments: Sequence[str]) -> None:
    step, prompts, output, shard_rows = arguments
    job = BatchJob(prompts, output, model="flat-colour", shard_rows=int(shard_rows))
    before = high_water_mark(os.getpid())
    began = time.perf_counter()
    {"plan": plan, "resume": resume, "status": status}[step](job)
    seconds = time.perf_counter() - began
    peak = high_water_mark(os.getpid())
    print(
        json.dumps(
            {
                "seconds": round(seconds, 3),
                "peak_megabytes": round(peak / 1e6, 1),
                "of_it_above_imports": round((peak - before) / 1e6, 1),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
