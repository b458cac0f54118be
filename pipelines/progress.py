"""What the driver tells while a run goes on, and what is left to say at its end. Counts only, never pixels."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .stage import Record


@dataclass(frozen=True, slots=True)
class Progress:
    """Args:
    images_done, images_total: of the whole output; the total is an estimate while rows with their own `n` remain.
    failed: failed images among those that this run made.
    images_per_second: of this run, since a worker began to make them; 0 before.
    seconds_left: None before there is a rate.
    shards_done, shards_total: of the whole output.
    images, bytes, codes: made by this run, failures included; of their files; failures among them by error code.
    workers: that were asked for; 0 until Ray is there.
    seconds: by part as `Pass.seconds`, over all workers of this run.
    busy: seconds in which each worker's model ran, by worker and its GPUs ("" on a CPU).
    """

    images_done: int
    images_total: int
    failed: int
    images_per_second: float
    seconds_left: float | None
    shards_done: int
    shards_total: int
    images: int = 0
    bytes: int = 0
    codes: Mapping[str, int] = field(default_factory=dict)
    workers: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    busy: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def counts(self) -> dict[str, Any]:
        """For messages: nothing of single workers or parts."""
        names = [item.name for item in fields(self) if item.name not in ("workers", "seconds", "busy")]
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Summary:
    """Args:
    output: folder or URL.
    complete: every shard that was asked for is done.
    rows, planned_rows: that were asked for; that the output's plan has, more where a limit was given.
    images, succeeded, failed, filtered, codes, bytes: of the whole output, earlier runs included; `filtered` are those
        that the model's safety checker held back.
    examples: what one failed row says, for each of `codes`.
    made_images, made_failed: by this run.
    shards, shards_made, shards_skipped: in the plan; made by this run; found done at its start.
    images_per_second: of this run, since a worker began to make them.
    seconds: of this run, in all.
    startup: seconds until the first image, by part: imports, plan, ray, first_image.
    workers: how many were asked for; 0 where nothing was left to do.
    """

    output: str
    complete: bool
    rows: int
    planned_rows: int
    images: int
    succeeded: int
    failed: int
    filtered: int
    codes: dict[str, int]
    examples: dict[str, str]
    bytes: int
    made_images: int
    made_failed: int
    shards: int
    shards_made: int
    shards_skipped: int
    images_per_second: float
    seconds: float
    startup: dict[str, float]
    workers: int
    model: str
    model_revision: str


@dataclass(slots=True)
class Tally:
    """Adds up the records of a run.

    Args:
        rows_total, shards_total: of the whole output; rows_done, shards_done: when the run started.
        images_a_row: estimate for rows that are not made yet.
        known_total: of images, where it is known; a retry knows it.
        places: a shard for each of `codes`.
    """

    rows_total: int
    rows_done: int
    shards_total: int
    shards_done: int
    images_a_row: int
    known_total: int | None = None
    making_since: float = 0.0
    first_image_at: float = 0.0
    last_record_at: float = 0.0
    images: int = 0
    failed: int = 0
    bytes: int = 0
    made_rows: int = 0
    made_shards: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    places: dict[str, int] = field(default_factory=dict)
    workers: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    busy: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))

    def add(self, record: Record, rows: int) -> None:
        self.images += record.images
        self.failed += record.failed
        self.bytes += record.bytes
        self.made_rows += rows
        self.made_shards += 1
        self.codes.update(record.codes)
        self.places = dict.fromkeys(record.codes, record.shard) | self.places
        for part, seconds in record.seconds.items():
            self.seconds[part] += seconds
        self.busy[record.worker, record.gpus] += record.seconds.get("generate", 0.0)
        self.last_record_at = time.time()
        if record.first_image_at:
            self.first_image_at = min(self.first_image_at or record.first_image_at, record.first_image_at)
            self.making_since = min(self.making_since or record.begun_at, record.begun_at)

    def rate(self) -> float:
        """Images a second, from the start of the first micro-batch to the end of the last shard."""
        since = self.last_record_at - self.making_since
        return self.images / since if self.making_since and since > 0 else 0.0

    def total(self) -> int:
        if self.known_total is not None:
            return self.known_total
        before = self.rows_done * self.images_a_row
        return before + self.images + (self.rows_total - self.rows_done - self.made_rows) * self.images_a_row

    def progress(self) -> Progress:
        done = self.rows_done * self.images_a_row + self.images
        rate, total = self.rate(), self.total()
        left = (total - done) / rate if rate else None
        return Progress(
            images_done=done,
            images_total=total,
            failed=self.failed,
            images_per_second=rate,
            seconds_left=left,
            shards_done=self.shards_done + self.made_shards,
            shards_total=self.shards_total,
            images=self.images,
            bytes=self.bytes,
            codes=dict(self.codes),
            workers=self.workers,
            seconds=dict(self.seconds),
            busy=dict(self.busy),
        )
