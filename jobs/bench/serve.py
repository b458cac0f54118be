"""The online server beside what it stands on: the bare model, and a bare call for a lone request.

One of them is at work at a time; loops wait for their turn, servers are ended, for an idle one takes of the cores.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from imagen_model.catalog import find_model
from pipelines.errors import InvalidJob
from pipelines.online.running import check_address, server_running
from pipelines.online.settings import ServeSettings

from ..console import say
from .bare import Loops, Spent, bare_loops, requests
from .client import Client, Steady
from .throughput import ratio

MODEL = "imagen-small"
CONCURRENT = 16
LONE = 5  # requests of a round


def measure_serve(images: int, rounds: int) -> dict[str, Any]:
    """imagen-small in one process a core, as `imagegen serve` has it by itself, beside as many bare loops; and in one
    process, which leaves the other cores to the server, beside one. The bare model is one process: its pictures take
    one core, whatever the machine has; what the server makes of all cores is told as a multiple of it."""
    cores = os.cpu_count() or 1
    check_images(images)
    found: dict[str, Any] = {"cores": cores, "concurrent": CONCURRENT}
    for processes in sorted({1, cores}, reverse=True):
        with bare_loops("model", processes) as loops:
            found[f"processes_{processes}"] = beside_the_model(loops, processes, images * processes // cores, rounds)
    model, server = (found[f"processes_{number}"] for number in (1, cores))
    found["over_the_model"] = round(server["served_images_per_second"] / model["bare_images_per_second"], 3)
    return found


def check_images(images: int) -> None:
    if images < 2 * CONCURRENT:
        raise InvalidJob(f"{CONCURRENT} requests at once take at least {2 * CONCURRENT} images, got {images}")


def beside_the_model(loops: Loops, processes: int, images: int, rounds: int) -> dict[str, Any]:
    """Pictures a second at 16 requests at once, and seconds of a lone one beside those of the same call here."""
    bare: list[Spent] = []
    served: list[Steady] = []
    calls, lone = [], []
    share = images // processes
    for _ in range(rounds):
        bare.append(loops.make(share))
        with imagegen_running(processes) as port:
            served.append(measured(port, images)[1])
            each, alone = measure_lone(port)
        calls += each
        lone += alone
        say(f"{processes} processes: bare {share * processes / bare[-1].seconds:.2f}, served {served[-1].rate:.2f}")
    rates = [share * processes / spent.seconds for spent in bare]
    return {
        "images": images,
        "bare_images_per_second": round(statistics.median(rates), 2),
        "served_images_per_second": round(statistics.median(steady.rate for steady in served), 2),
        "over_as_many_loops": ratio([steady.rate for steady in served], rates),
        "lone_request_seconds": round(statistics.median(lone), 4),
        "bare_call_seconds": round(statistics.median(calls), 4),
        "lone_ratio": ratio(lone, calls),
        "core_seconds_a_picture": {
            "bare": round(statistics.median(spent.core_seconds for spent in bare) / (share * processes), 4),
            "server": round(statistics.median(steady.served for steady in served), 4),
            "client": round(statistics.median(steady.asking for steady in served), 4),
        },
        "cores_of_others": round(max(steady.others for steady in served), 2),
    }


@contextmanager
def imagegen_running(processes: int) -> Iterator[int]:
    """Its port."""
    with tempfile.TemporaryDirectory(prefix="imagegen-bench-") as folder:
        settings = ServeSettings(model=MODEL, replicas=processes, batch_folder=folder)
        port = check_address(settings, "127.0.0.1", 0, False)
        with server_running(settings, find_model(MODEL), "127.0.0.1", port):
            yield port


def measured(port: int, images: int) -> tuple[bytes, Steady]:
    """One picture, and the steady state."""
    client = Client(port, CONCURRENT)
    client.make(2 * CONCURRENT)
    return client.ask(requests(1, MODEL)[0]), client.steady(images)


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
