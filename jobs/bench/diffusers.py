"""A diffusers model through the pipeline, beside a bare loop over the same model at the batch size that suits it best.

Both run one process a core with one thread. The pipeline is measured with that batch size as its micro-batch, and with
a micro-batch of 1, its default on a CPU: how far those two lie apart is what a larger one is worth here.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from imagen_model.open_models.options import ModelOptions

from .bare import run_together
from .diffusers_model import SIDE, STEPS, write_model
from .throughput import ratio, run_through

BATCHES = (1, 2, 4, 8, 16)


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
        tried = {batch: loop_rate(folder, batch, max(images // 4, batch * cores), cores) for batch in BATCHES}
        best = max(tried, key=lambda batch: tried[batch])
        bare, through, alone, overall = [], [], [], []
        for _ in range(rounds):
            bare.append(loop_rate(folder, best, images, cores))
            summary, steady = run_through(folder, images, None, cores, ModelOptions(micro_batch=best), STEPS)
            through.append(steady)
            overall.append(summary.images_per_second)
            alone.append(run_through(folder, images, None, cores, ModelOptions(micro_batch=1), STEPS)[1])
    return {
        "cores": cores,
        "images": images,
        "model": model or f"Stable Diffusion of random weights, {SIDE}x{SIDE}, {STEPS} steps",
        "bare_images_per_second_by_batch": {str(batch): round(rate, 2) for batch, rate in tried.items()},
        "best_batch": best,
        "bare_images_per_second": round(statistics.median(bare), 2),
        "pipeline_images_per_second": round(statistics.median(through), 2),
        "whole_run_images_per_second": round(statistics.median(overall), 2),
        "ratio": ratio(through, bare),
        "ratio_with_micro_batch_1": ratio(alone, bare),
    }


def let_workers_compete() -> None:
    """Ray's 15 would let whatever else the machine does come before our workers, but not before the bare loop."""
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112


def loop_rate(folder: str, batch: int, images: int, cores: int) -> float:
    """Images a second of the bare loops of all cores together."""
    command = [sys.executable, "-m", "jobs.bench.diffusers_loop", folder, str(batch), str(images // cores)]
    return images // cores * cores / run_together([command] * cores)
