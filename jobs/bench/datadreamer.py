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
from .bare import run_together
from .diffusers import BATCHES, let_workers_compete
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
        few = max(images // 4, max(BATCHES) * cores)
        tried = {batch: peer_rate(commands, folder, batch, few, cores) for batch in BATCHES}
        best = max(tried, key=lambda batch: tried[batch])
        theirs, ours = [], []
        for _ in range(rounds):
            theirs.append(peer_rate(commands, folder, best, images, cores))
            ours.append(run_through(folder, images, None, cores, ModelOptions(micro_batch=best), STEPS)[1])
            say(f"datadreamer {theirs[-1]:.2f} images/s, imagegen {ours[-1]:.2f}")
    return {
        "datadreamer": PEER_VERSION,
        "cores": cores,
        "images": images,
        "model": f"SDXL-Turbo of random weights, {SIDE}x{SIDE}, {STEPS} steps",
        "datadreamer_images_per_second_by_batch": {str(batch): round(rate, 2) for batch, rate in tried.items()},
        "best_batch": best,
        "datadreamer_images_per_second": round(statistics.median(theirs), 2),
        "pipeline_images_per_second": round(statistics.median(ours), 2),
        "ratio": ratio(ours, theirs),
    }


def peer_rate(commands: Path, folder: str, batch: int, images: int, cores: int) -> float:
    """Images a second of the peer's processes together."""
    count = images // cores
    arguments = [str(LOOP), folder, str(batch), str(count), sysconfig.get_path("purelib")]
    return count * cores / run_together([[str(commands / "python"), "-P", *arguments]] * cores)
