"""How fast each part of a run could be, which of them holds the others up, and what that comes to."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.errors import InvalidJob
from pipelines.job import DEFAULT_BATCH
from pipelines.plan import choose_shard_rows, cut

from .display import size_of
from .measurement import Measurement

# CPU of the driver for a shard, of an earlier `imagegen bench --part cluster` on eight nodes:
# its seconds over its shards. No measurement of the user's machine, and said so in the arithmetic.
DRIVER_SECONDS = 0.025
# Of each shard beside its pictures: whether to stop, the attempt (read, written, removed), metadata, manifest.
SHARD_REQUESTS = 6


@dataclass(frozen=True, slots=True)
class Question:
    """Args:
    gpus: workers, each with a GPU (or, without GPUs, a machine's core).
    cpus_per_worker: that encode beside it.
    object_rate: requests a second that the store takes.
    network_gbit: what all nodes together may send to it.
    price_per_gpu_hour, price_per_1000_requests: in any currency; None to leave the cost out.
    """

    rows: int
    gpus: int
    images_a_row: int
    cpus_per_worker: float
    output_format: str
    shard_rows: int | None
    object_rate: float
    network_gbit: float
    price_per_gpu_hour: float | None
    price_per_1000_requests: float | None

    def __post_init__(self) -> None:
        for name in ("rows", "gpus", "object_rate", "network_gbit"):
            if not getattr(self, name) > 0:
                raise InvalidJob(f"{name} must be above 0, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Limit:
    """One part's images a second, and how they come about."""

    part: str
    arithmetic: str
    images_per_second: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Args:
    seconds: at the speed of the slowest part, start-up apart.
    last_shard_seconds: that the first worker to end may wait for the last.
    requests: to the store.
    """

    images: int
    shards: int
    shard_rows: int
    limits: tuple[Limit, ...]
    bottleneck: str
    seconds: float
    last_shard_seconds: float
    objects: int
    requests: int
    bytes: float
    gpu_cost: float | None
    request_cost: float | None

    @property
    def images_per_second(self) -> float:
        return min(limit.images_per_second for limit in self.limits)


def estimate(question: Question, measured: Measurement) -> Estimate:
    """Raises:
    InvalidJob: the rows are more than one run can have.
    """
    rows, images = question.rows, question.rows * question.images_a_row
    shard_rows = question.shard_rows or choose_shard_rows(rows, question.gpus, measured.batch_size or DEFAULT_BATCH)
    (segment,) = cut((), rows, shard_rows)
    archived = question.output_format != "imagefolder"
    pictures = segment.shards if archived else images
    objects = pictures + segment.shards * (1 if archived else 2)
    requests = pictures + segment.shards * (SHARD_REQUESTS - archived)
    images_a_shard = min(shard_rows, rows) * question.images_a_row
    limits = limits_of(question, measured, min(question.gpus, segment.shards), requests / images, images_a_shard)
    slowest = min(limits, key=lambda limit: limit.images_per_second)
    seconds = images / slowest.images_per_second
    gpu_price, request_price = question.price_per_gpu_hour, question.price_per_1000_requests
    return Estimate(
        images,
        segment.shards,
        shard_rows,
        limits,
        slowest.part,
        seconds,
        images_a_shard * measured.generate_seconds,
        objects,
        requests,
        images * measured.bytes,
        None if gpu_price is None else question.gpus * seconds / 3600 * gpu_price,
        None if request_price is None else requests / 1000 * request_price,
    )


def limits_of(
    question: Question, measured: Measurement, busy: int, requests_an_image: float, images_a_shard: int
) -> tuple[Limit, ...]:
    """Args:
    busy: workers that have a shard; the others have nothing to do.
    """
    cpus = question.cpus_per_worker
    workers = f"{busy:,} workers" if busy == question.gpus else f"{busy:,} of {question.gpus:,} workers, a shard each,"
    bits = question.network_gbit * 1e9
    found = [
        Limit(
            "GPUs",
            f"{workers} / {measured.generate_seconds:.4g} s an image",
            busy / measured.generate_seconds,
        )
    ]
    if measured.encode_seconds:
        text = f"{busy:,} workers x {cpus:g} CPUs / {measured.encode_seconds:.4g} s an image"
        found.append(Limit("encoding", text, busy * cpus / measured.encode_seconds))
    return (
        *found,
        Limit(
            "object rate",
            f"{question.object_rate:,.0f} requests a second / {requests_an_image:.3g} an image",
            question.object_rate / requests_an_image,
        ),
        Limit(
            "network",
            f"{question.network_gbit:g} Gbit/s / {size_of(measured.bytes)} an image",
            bits / 8 / measured.bytes,
        ),
        Limit(
            "driver",
            f"{images_a_shard:,} images a shard / {DRIVER_SECONDS:g} s a shard, by a bench",
            images_a_shard / DRIVER_SECONDS,
        ),
    )
