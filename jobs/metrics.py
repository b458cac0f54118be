"""Metrics of a batch job for Prometheus, served by its driver while it runs. docs/how-to/monitor.md, the dashboard
`infra/batch/grafana.json` and the rules `infra/batch/alerts.yml` name them.

They are what the last `Progress` says, put into Prometheus' form when it is asked for: nothing is counted twice. All
but the settings are of this run, so a counter begins at 0 when a job goes on after an interruption.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from imagen_model.generation import ErrorCode
from pipelines.errors import InvalidJob
from pipelines.progress import Progress
from pipelines.report.runs import PARTS

from .console import say

PREFIX = "imagegen_job"
LOOPBACK = "127.0.0.1"


class JobMetrics(Collector):
    """Called with each `Progress`; asked by Prometheus from another thread.

    Args:
        about: labels of `imagegen_job_info`.
    """

    def __init__(self, about: Mapping[str, str]) -> None:
        self.about = dict(about)
        self.begun = time.time()
        self.heard: tuple[float, Progress] | None = None

    def __call__(self, progress: Progress) -> None:
        self.heard = time.time(), progress

    def collect(self) -> Iterator[Metric]:
        heard = self.heard
        yield InfoMetricFamily(PREFIX, "What is running.", value=self.about)
        yield gauge("start_time_seconds", "When the run began, Unix time.", self.begun)
        if heard is not None:
            yield from told(*heard)


def told(moment: float, progress: Progress) -> Iterator[Metric]:
    """Codes and parts of which nothing was heard yet are there with 0: Prometheus sees no increase in what it sees
    for the first time."""
    filtered = progress.codes.get(ErrorCode.CONTENT_FILTERED, 0)
    yield counter("images", "Pictures made by this run.", progress.images - progress.failed - filtered)
    yield counter("filtered", "Pictures that the model's safety checker held back in this run.", filtered)
    failures = CounterMetricFamily(f"{PREFIX}_failures", "Pictures that failed in this run, by code.", labels=["code"])
    for code in ErrorCode:
        if code != ErrorCode.CONTENT_FILTERED:
            failures.add_metric([code.value], progress.codes.get(code, 0))
    yield failures
    yield counter("bytes", "Bytes of the files of pictures that this run made.", progress.bytes)
    parts = CounterMetricFamily(
        f"{PREFIX}_part_seconds", "Seconds that this run's workers spent, by part.", labels=["part"]
    )
    for part in PARTS:
        parts.add_metric([part], progress.seconds.get(part, 0.0))
    yield parts
    busy = CounterMetricFamily(
        f"{PREFIX}_busy_seconds", "Seconds in which a worker's model ran.", labels=["worker", "gpu"]
    )
    for (worker, gpu), seconds in progress.busy.items():
        busy.add_metric([worker, gpu], seconds)
    yield busy
    yield gauge("workers", "Workers that were asked for; 0 until Ray is there.", progress.workers)
    yield gauge(
        "queue_images",
        "Pictures not made yet; an estimate where rows bring their own n.",
        progress.images_total - progress.images_done,
    )
    yield gauge("queue_shards", "Shards not done yet.", progress.shards_total - progress.shards_done)
    yield gauge(
        "progress_ratio",
        "Share of the whole output that is made, 0 to 1.",
        progress.images_done / progress.images_total if progress.images_total else 1.0,
    )
    if progress.seconds_left is not None:
        yield gauge("left_seconds", "Time left at this run's rate; absent before there is one.", progress.seconds_left)
    yield gauge("last_shard_time_seconds", "When the last shard was done, or work began, Unix time.", moment)


def counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, value=value)


def gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)


@contextmanager
def serving(port: int | None, host: str | None, about: Mapping[str, str]) -> Iterator[JobMetrics]:
    """Answers GET /metrics while the body runs, and says where on standard error.

    Args:
        port: None serves nothing; 0 takes a free one.
        host: address to listen on; None for this machine's own.
        about: what is running, for `imagegen_job_info`.

    Raises:
        InvalidJob: the port cannot be had.
    """
    metrics = JobMetrics(about)
    if port is None:
        yield metrics
        return
    registry = CollectorRegistry()
    registry.register(metrics)
    host = host or LOOPBACK
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise InvalidJob(
            f"metrics cannot be served on {host}:{port} ({error.strerror or error}); give another --metrics-port, or 0 "
            "for a free one"
        ) from error
    shown = f"[{host}]" if ":" in host else host
    say(f"imagegen: metrics are at http://{shown}:{server.server_port}/metrics")
    try:
        yield metrics
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
