"""The pipeline beside datadreamer 0.2.3's generator of SDXL-Turbo, with the same weights, one process a core each.

datadreamer's pictures are made and thrown away, at the batch size that suits it best; ours are written and hashed.
"""

from __future__ import annotations

import os
import statistics
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from imagen_model.open_models.options import ModelOptions

from ..console import say
from .bare import loops_running
from .diffusers import let_workers_compete, rate, try_batches
from .diffusers_model import SIDE, write_turbo
from .peer import install
from .throughput import ratio, run_through

LOOP = Path(__file__).with_name("datadreamer_loop.py")
PEER_VERSION = "0.2.3"
STEPS = 4  # fixed by datadreamer


def measure_datadreamer(images: int, rounds: int) -> dict[str, Any]:
    cores = os.cpu_count() or 1
    let_workers_compete()
    commands = install("datadreamer", with_needs=False)
    with tempfile.TemporaryDirectory(prefix="imagegen-bench-") as base:
        folder = f"{base}/small-turbo"
        write_turbo(Path(folder))
        arguments = [str(LOOP), folder, sysconfig.get_path("purelib")]
        with loops_running([str(commands / "python"), "-P", *arguments], cores) as loops:
            tried = try_batches(loops, cores)
            best = max(tried, key=lambda batch: tried[batch])
            share = -(-images // (cores * best)) * best  # of a core: whole batches
            theirs, ours = [], []
            for _ in range(rounds):
                theirs.append(loops.make(best, share))
                ours.append(run_through(folder, images, None, cores, ModelOptions(micro_batch=best), STEPS)[1])
                say(f"datadreamer {rate(theirs[-1], share * cores):.2f} images/s, imagegen {ours[-1].rate:.2f}")
    peer_rates = [rate(spent, share * cores) for spent in theirs]
    return {
        "datadreamer": PEER_VERSION,
        "cores": cores,
        "images": images,
        "model": f"SDXL-Turbo of random weights, {SIDE}x{SIDE}, {STEPS} steps",
        "datadreamer_images_per_second_by_batch": {str(batch): round(rate, 2) for batch, rate in tried.items()},
        "best_batch": best,
        "datadreamer_images_per_second": round(statistics.median(peer_rates), 2),
        "pipeline_images_per_second": round(statistics.median(steady.rate for steady in ours), 2),
        "ratio": ratio([steady.rate for steady in ours], peer_rates),
        "datadreamer_core_seconds_a_picture": round(
            statistics.median(spent.core_seconds for spent in theirs) / (share * cores), 4
        ),
        "pipeline_core_seconds_a_picture": round(statistics.median(steady.core_seconds for steady in ours), 4),
        "cores_of_others": round(max(steady.others for steady in ours), 2),
    }
