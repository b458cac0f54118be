"""Replicas that sleep instead of computing: what routing and batching leave of the ideal.

The ideal: every replica sleeps over a full batch, all the time.
"""

from __future__ import annotations

import os
import statistics
from typing import Any

from pipelines.online.running import check_address, server_running
from pipelines.online.settings import ServeSettings

from .client import Client
from .sleeper import SleepingSource

REPLICAS, BATCH, SECONDS = 8, 4, 1.0
AT_ONCE = 3 * REPLICAS * BATCH  # a batch in the model, and two that wait
BATCHES = 10  # of each replica in a round, while all are busy


def measure_sleeping(rounds: int) -> dict[str, Any]:
    settings = ServeSettings(model="sleeping", replicas=REPLICAS, cpus_per_replica=0.1)
    ideal = REPLICAS * BATCH / SECONDS
    port = check_address(settings, "127.0.0.1", 0, False)
    with server_running(settings, SleepingSource(BATCH, SECONDS), "127.0.0.1", port):
        client = Client(port, AT_ONCE)
        client.make(REPLICAS * BATCH)  # every replica has run once
        rates = [client.steady(int(BATCHES * SECONDS * ideal)).rate for _ in range(rounds)]
    return {
        "cores": os.cpu_count() or 1,
        "replicas": REPLICAS,
        "batch": BATCH,
        "seconds_a_batch": SECONDS,
        "concurrent": AT_ONCE,
        "ideal_images_per_second": ideal,
        "served_images_per_second": round(statistics.median(rates), 2),
        "ratio": round(statistics.median(rates) / ideal, 3),
    }
