"""The online server beside what it stands on (the bare model, a bare call) and beside LitServe with the same model.

One of them is up at a time: what an idle server costs would be taken from the others.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from imagen_model.catalog import find_model
from pipelines.errors import InvalidJob
from pipelines.online.running import check_address, server_running
from pipelines.online.settings import ServeSettings

from ..console import say
from .bare import bare_rate, requests
from .client import Client
from .litserve_peer import LitServeSettings, litserve_running
from .peer import install
from .sleeping import measure_sleeping
from .throughput import ratio

MODEL = "imagen-small"
CONCURRENT = 16
LONE = 5  # requests of a round
# What LitServe does unless told otherwise: one process, and a batch is what waits. Only its size has to be said.
DEFAULTS, DEFAULT_WORKERS = LitServeSettings(CONCURRENT, 0.0), 1
TRIED = (
    DEFAULTS,
    LitServeSettings(16, 0.05),
    LitServeSettings(16, 0.01),
    LitServeSettings(8, 0.05),
    LitServeSettings(8, 0.01),
)


def measure_serve(images: int, rounds: int) -> dict[str, Any]:
    """imagen-small behind the server in one process, which leaves the other cores to the server, and in one process a
    core, as `imagegen serve` does by itself; and replicas that sleep."""
    cores = os.cpu_count() or 1
    if images < 2 * CONCURRENT:
        raise InvalidJob(f"{CONCURRENT} requests at once take at least {2 * CONCURRENT} images, got {images}")
    commands = install("litserve")
    found: dict[str, Any] = {"cores": cores, "concurrent": CONCURRENT, "litserve": "0.2.19"}
    for processes in sorted({1, cores}):
        share = max(2 * CONCURRENT, images * processes // cores)
        found[f"processes_{processes}"] = compare(commands, processes, share, rounds)
    return found | {"sleeping": measure_sleeping(rounds)}


def compare(commands: Path, processes: int, images: int, rounds: int) -> dict[str, Any]:
    """Pictures a second at 16 requests at once, beside as many bare loops and beside one; beside LitServe as it comes
    and with as many processes and the settings that were fastest for it in short tries before; and seconds of a lone
    request beside those of the same call here."""
    chosen = fastest(commands, images, processes)
    rates: dict[str, list[float]] = {name: [] for name in ("served", "bare", "one_bare", "defaults", "tuned")}
    lone, calls = [], []
    for _ in range(rounds):
        rates["bare"].append(bare_rate("model", images, processes))
        rates["one_bare"].append(bare_rate("model", images // processes, 1) if processes > 1 else rates["bare"][-1])
        with litserve_running(commands, DEFAULTS, DEFAULT_WORKERS) as port:
            rates["defaults"].append(measured(port, max(CONCURRENT, images // processes))[1])
        with litserve_running(commands, chosen, processes) as port:
            theirs, rate = measured(port, images)
        rates["tuned"].append(rate)
        with tempfile.TemporaryDirectory(prefix="imagegen-bench-") as folder:
            settings = ServeSettings(model=MODEL, replicas=processes, batch_folder=folder)
            port = check_address(settings, "127.0.0.1", 0, False)
            with server_running(settings, find_model(MODEL), "127.0.0.1", port):
                ours, rate = measured(port, images)
                each, alone = measure_lone(port)
        rates["served"].append(rate)
        calls += each
        lone += alone
        if ours != theirs:
            raise RuntimeError("LitServe's picture is another one than imagegen's")
        say(
            f"{processes} processes, images/s: " + ", ".join(f"{name} {found[-1]:.2f}" for name, found in rates.items())
        )
    return {
        "images": images,
        "litserve_tuned": {"max_batch_size": chosen.batch, "batch_timeout": chosen.timeout, "workers": processes},
        "litserve_defaults": {"max_batch_size": CONCURRENT, "batch_timeout": 0.0, "workers": DEFAULT_WORKERS},
        "images_per_second": {name: round(statistics.median(found), 2) for name, found in rates.items()},
        "served_over": {name: ratio(rates["served"], found) for name, found in rates.items() if name != "served"},
        "lone_request_seconds": round(statistics.median(lone), 4),
        "bare_call_seconds": round(statistics.median(calls), 4),
        "lone_ratio": ratio(lone, calls),
    }


def fastest(commands: Path, images: int, processes: int) -> LitServeSettings:
    tried: dict[LitServeSettings, float] = {}
    for settings in TRIED:
        with litserve_running(commands, settings, processes) as port:
            _, tried[settings] = measured(port, images // 2)
        say(f"LitServe with {settings.batch} a batch, {settings.timeout:g} s: {tried[settings]:.2f} images/s")
    return max(tried, key=lambda settings: tried[settings])


def measured(port: int, images: int) -> tuple[bytes, float]:
    """One picture, and images a second in the steady state."""
    client = Client(port, CONCURRENT)
    client.rate(2 * CONCURRENT)
    return client.ask(requests(1, MODEL)[0]), client.steady_rate(images)


def measure_lone(port: int) -> tuple[list[float], list[float]]:
    """Seconds of calls in this process, and of the same ones over HTTP with nobody else there."""
    client, generator = Client(port, 1), find_model(MODEL).load()
    generator.generate(requests(1, MODEL))
    calls, lone = [], []
    for request in requests(LONE, MODEL):
        began = time.perf_counter()
        generator.generate([request])
        calls.append(time.perf_counter() - began)
        began = time.perf_counter()
        client.ask(request)
        lone.append(time.perf_counter() - began)
    return calls, lone
