"""A diffusers model through the pipeline, beside a bare loop over the same model at the batch size that suits it best.

Both run one process a core with one thread. The pipeline is measured with that batch size as its micro-batch in every
round, and once with a micro-batch of 1, its default on a CPU: how far those two lie apart is what a larger one is worth
here. The loops load and warm up once, and wait while the pipeline runs.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from imagen_model.open_models.options import ModelOptions

from ..console import say
from .bare import Loops, Spent, loops_running
from .diffusers_model import SIDE, STEPS, write_model
from .throughput import ratio, run_through

BATCHES = (1, 2, 4, 8)  # on a core of a CPU the curve is flat from 4 on
TRIED_IMAGES = 16  # of each core and batch size, to find the best


def measure_diffusers(images: int, rounds: int, model: str | None) -> dict[str, Any]:
    """Args:
    model: folder of a diffusers model; None for a small Stable Diffusion of random weights.
    """
    cores = os.cpu_count() or 1
    let_workers_compete()
    with tempfile.TemporaryDirectory(prefix="imagegen-bench-") as base:
        folder = model or f"{base}/small-diffusion"
        if model is None:
            write_model(Path(folder))
        with loops_running([sys.executable, "-m", "jobs.bench.diffusers_loop", folder], cores) as loops:
            tried = try_batches(loops, cores)
            best = max(tried, key=lambda batch: tried[batch])
            share = -(-images // (cores * best)) * best  # of a core: whole batches
            bare, through, whole = [], [], []
            for _ in range(rounds):
                bare.append(loops.make(best, share))
                summary, steady = run_through(folder, images, None, cores, ModelOptions(micro_batch=best), STEPS)
                through.append(steady)
                whole.append(summary)
                say(f"bare {rate(bare[-1], share * cores):.2f} images/s, imagegen {steady.rate:.2f}")
            _, alone = run_through(folder, images, None, cores, ModelOptions(micro_batch=1), STEPS)
    bare_rates = [rate(spent, share * cores) for spent in bare]
    return {
        "cores": cores,
        "images": images,
        "model": model or f"Stable Diffusion of random weights, {SIDE}x{SIDE}, {STEPS} steps",
        "bare_images_per_second_by_batch": {str(batch): round(found, 2) for batch, found in tried.items()},
        "best_batch": best,
        "bare_images_per_second": round(statistics.median(bare_rates), 2),
        "pipeline_images_per_second": round(statistics.median(steady.rate for steady in through), 2),
        "whole_run_images_per_second": round(statistics.median(summary.images_per_second for summary in whole), 2),
        "startup_seconds": whole[-1].startup,
        "ratio": ratio([steady.rate for steady in through], bare_rates),
        "ratio_with_micro_batch_1": round(alone.rate / bare_rates[-1], 3),
        "bare_core_seconds_a_picture": round(statistics.median(one.core_seconds for one in bare) / (share * cores), 4),
        "pipeline_core_seconds_a_picture": round(statistics.median(steady.core_seconds for steady in through), 4),
        "cores_of_others": round(max(steady.others for steady in through), 2),
    }


def try_batches(loops: Loops, cores: int) -> dict[int, float]:
    """Images a second of the bare loops of all cores together, by batch size."""
    tried = {}
    for batch in BATCHES:
        loops.make(batch, batch)
        tried[batch] = rate(loops.make(batch, TRIED_IMAGES), TRIED_IMAGES * cores)
    return tried


def rate(spent: Spent, images: int) -> float:
    return images / spent.seconds


def let_workers_compete() -> None:
    """Ray's 15 would let whatever else the machine does come before our workers, but not before the bare loop."""
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
