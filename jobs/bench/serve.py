"""The online server beside what it stands on: the bare model's throughput, and the latency of a bare call."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from imagen_model.catalog import find_model
from imagen_model.generation import GenerationRequest
from pipelines.online.running import check_address, server_running
from pipelines.online.settings import ServeSettings

from .bare import bare_rate, requests
from .throughput import ratio

MODEL = "imagen-small"
CONCURRENT = 16
LONE = 5  # requests of a round


def measure_serve(images: int, rounds: int) -> dict[str, Any]:
    """imagen-small with one replica a core: pictures a second at 16 requests at once beside one bare loop a core,
    and seconds of a lone request beside those of the same call in this process."""
    cores = os.cpu_count() or 1
    settings = ServeSettings(model=MODEL, replicas=cores)
    source, generator = find_model(MODEL), find_model(MODEL).load()
    through, bare, lone, calls = [], [], [], []
    port = check_address(settings, "127.0.0.1", 0, False)
    with server_running(settings, source, "127.0.0.1", port):
        served_rate(port, 2 * CONCURRENT)  # every replica has run once
        for _ in range(rounds):
            bare.append(bare_rate("model", images, cores))
            through.append(served_rate(port, images))
            for request in requests(LONE, MODEL):
                began = time.perf_counter()
                generator.generate([request])
                calls.append(time.perf_counter() - began)
                began = time.perf_counter()
                ask(port, request)
                lone.append(time.perf_counter() - began)
    return {
        "cores": cores,
        "images": images,
        "concurrent": CONCURRENT,
        "served_images_per_second": round(statistics.median(through), 2),
        "bare_images_per_second": round(statistics.median(bare), 2),
        "ratio": ratio(through, bare),
        "lone_request_seconds": round(statistics.median(lone), 4),
        "bare_call_seconds": round(statistics.median(calls), 4),
        "lone_ratio": ratio(lone, calls),
    }


def served_rate(port: int, images: int) -> float:
    """Images a second, from the first request to the last answer."""
    with ThreadPoolExecutor(CONCURRENT) as threads:
        began = time.perf_counter()
        for _ in threads.map(lambda request: ask(port, request), requests(images, MODEL)):
            pass
        return images / (time.perf_counter() - began)


def ask(port: int, request: GenerationRequest) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    body = json.dumps({"prompt": request.prompt, "seed": request.seed})
    connection.request("POST", "/v1/images/generations", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"the server answered {answer.status}: {content[:300]!r}")
