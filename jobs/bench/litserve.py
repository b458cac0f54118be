"""The online server beside LitServe 0.2 with the same generator: as it comes, and with the settings that suit it."""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import Any

from ..console import say
from .client import Steady
from .litserve_peer import LitServeSettings, litserve_running
from .peer import install
from .serve import CONCURRENT, check_images, imagegen_running, measured
from .throughput import ratio

# What LitServe does unless told otherwise: one process, and a batch is what waits. Only its size has to be said.
DEFAULTS, DEFAULT_WORKERS = LitServeSettings(CONCURRENT, 0.0), 1
TRIED = (
    DEFAULTS,
    LitServeSettings(16, 0.05),
    LitServeSettings(8, 0.05),
    LitServeSettings(4, 0.05),
    LitServeSettings(4, 0.0),
)
PEER_VERSION = "0.2.19"


def measure_litserve(images: int, rounds: int) -> dict[str, Any]:
    """imagen-small at 16 requests at once: `imagegen serve` with a process a core, LitServe with one (its default) and
    with as many and the settings that were fastest for it in short tries before."""
    cores = os.cpu_count() or 1
    check_images(images)
    commands = install("litserve")
    chosen = fastest(commands, images, cores)
    found: dict[str, list[Steady]] = {"imagegen": [], "defaults": [], "tuned": []}
    for _ in range(rounds):
        with litserve_running(commands, DEFAULTS, DEFAULT_WORKERS) as port:
            found["defaults"].append(measured(port, max(CONCURRENT, images // cores))[1])
        with litserve_running(commands, chosen, cores) as port:
            theirs, steady = measured(port, images)
        found["tuned"].append(steady)
        with imagegen_running(cores) as port:
            ours, steady = measured(port, images)
        found["imagegen"].append(steady)
        if ours != theirs:
            raise RuntimeError("LitServe's picture is another one than imagegen's")
        say("images/s: " + ", ".join(f"{name} {steady[-1].rate:.2f}" for name, steady in found.items()))
    rates = {name: [steady.rate for steady in several] for name, several in found.items()}
    return {
        "cores": cores,
        "concurrent": CONCURRENT,
        "litserve": PEER_VERSION,
        "images": images,
        "defaults": {"max_batch_size": CONCURRENT, "batch_timeout": 0.0, "workers": DEFAULT_WORKERS},
        "tuned": {"max_batch_size": chosen.batch, "batch_timeout": chosen.timeout, "workers": cores},
        "images_per_second": {name: round(statistics.median(several), 2) for name, several in rates.items()},
        "imagegen_over": {name: ratio(rates["imagegen"], rates[name]) for name in ("defaults", "tuned")},
        "core_seconds_a_picture": {
            name: round(statistics.median(steady.served for steady in several), 4) for name, several in found.items()
        },
        "cores_of_others": round(max(steady.others for several in found.values() for steady in several), 2),
    }


def fastest(commands: Path, images: int, processes: int) -> LitServeSettings:
    tried: dict[LitServeSettings, float] = {}
    for settings in TRIED:
        with litserve_running(commands, settings, processes) as port:
            tried[settings] = measured(port, max(CONCURRENT, images // 2))[1].rate
        say(f"LitServe with {settings.batch} a batch, {settings.timeout:g} s: {tried[settings]:.2f} images/s")
    return max(tried, key=lambda settings: tried[settings])
