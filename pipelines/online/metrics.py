"""Metrics for Prometheus. README's section "Online" and infra/serve/grafana.json name them."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .replica import Load

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
STALE = 15.0  # seconds after which a replica that says nothing counts as gone


class Metrics:
    """Of one ingress process and of the replicas that tell it of themselves."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.loads: dict[str, tuple[float, Load]] = {}
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "imagegen_requests", "Answers by route and status.", ["route", "status"], registry=registry
        )
        self.latency = Histogram(
            "imagegen_request_seconds",
            "From a request to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.queue_wait = Histogram(
            "imagegen_queue_wait_seconds",
            "From a picture's arrival to its batch's start.",
            buckets=SECONDS,
            registry=registry,
        )
        self.batch_images = Histogram(
            "imagegen_batch_images", "Pictures of a batch.", buckets=BATCHES, registry=registry
        )
        self.images = Counter("imagegen_images", "Pictures made, by format.", ["format"], registry=registry)
        self.failures = Counter("imagegen_failures", "Answers that are errors, by code.", ["code"], registry=registry)
        self.busy = Counter(
            "imagegen_model_busy_seconds", "Seconds in which models ran, over all replicas.", registry=registry
        )
        self.in_flight = Gauge("imagegen_in_flight_images", "Pictures waiting or being made.", registry=registry)
        gauges = {
            "imagegen_queue_images": ("Pictures waiting for a model.", lambda: self.queued),
            "imagegen_running_images": ("Pictures in a model.", lambda: self.running),
            "imagegen_replicas": ("Replicas that are ready.", lambda: len(self.alive())),
        }
        for name, (text, value) in gauges.items():
            Gauge(name, text, registry=registry).set_function(value)
        self.flying = 0

    def fly(self, pictures: int) -> None:
        """More (or, below 0, fewer) pictures wait or are being made."""
        self.flying += pictures
        self.in_flight.set(self.flying)

    def hear(self, load: Load) -> None:
        self.loads[load.replica] = (self.clock(), load)
        for batch in load.batches:
            self.batch_images.observe(batch.size)
            self.busy.inc(batch.seconds)

    def forget(self, replica: str) -> None:
        self.loads.pop(replica, None)

    def alive(self) -> list[Load]:
        """What the replicas that still speak said last."""
        now = self.clock()
        self.loads = {name: heard for name, heard in self.loads.items() if now - heard[0] < STALE}
        return [load for _, load in self.loads.values()]

    @property
    def running(self) -> int:
        return min(self.flying, sum(load.running for load in self.alive()))

    @property
    def queued(self) -> int:
        return self.flying - self.running

    def text(self) -> bytes:
        return generate_latest(self.registry)
