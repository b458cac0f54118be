"""What a person sees while a job runs: one line on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TextIO

from pipelines.errors import OWN_FAULT
from pipelines.progress import Progress, Summary
from pipelines.reporting import PAGE
from pipelines.words import duration, size_of

LOG_EVERY_SECONDS = 10.0


class Line:
    """A line on standard error that is written over on a terminal; elsewhere a line every ten seconds."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.written_at = 0.0
        self.width = 0

    @property
    def stream(self) -> TextIO:
        # Asked for anew each time: the pipeline puts another object there while Ray's noise goes to a file.
        return sys.stderr

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.terminal and self.width:
            self.stream.write("\n")
            self.stream.flush()

    def show(self, text: str, finished: bool) -> None:
        if self.terminal:
            self.stream.write("\r" + text.ljust(self.width))
            self.width = len(text)
        else:
            if time.monotonic() - self.written_at < LOG_EVERY_SECONDS and self.written_at and not finished:
                return
            self.written_at = time.monotonic()
            self.stream.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text}\n")
        self.stream.flush()


class ProgressLine(Line):
    """Shows a job's progress; called with each `Progress`."""

    def __call__(self, progress: Progress) -> None:
        self.show(describe(progress), progress.images_done >= progress.images_total)


class ShardLine(Line):
    """Shows an export's progress; called with (shards done, shards)."""

    def __call__(self, done: int, total: int) -> None:
        self.show(f"{done:,}/{total:,} shards ({done / total:.0%})", done >= total)


def describe(progress: Progress) -> str:
    share = progress.images_done / progress.images_total if progress.images_total else 1.0
    parts = [f"{progress.images_done:,}/{progress.images_total:,} images ({share:.0%})"]
    if progress.images_per_second:
        parts.append(f"{progress.images_per_second:.1f} images/s")
    parts.append(f"{progress.failed:,} failed")
    if progress.seconds_left is None:
        parts.append("starting")
    elif progress.images_done < progress.images_total:
        parts.append(f"{duration(progress.seconds_left)} left")
    return ", ".join(parts)


def filtered(count: int) -> str:
    """What follows the number of failures, where a model's safety checker held pictures back."""
    return f", {count:,} filtered" if count else ""


def describe_summary(summary: Summary) -> str:
    """The last lines of a run."""
    lines = [
        f"{summary.output}: {summary.rows:,} rows, {summary.succeeded:,} images, {summary.failed:,} failed"
        f"{filtered(summary.filtered)}, {size_of(summary.bytes)}, model {summary.model} ({summary.model_revision})"
    ]
    if summary.codes:
        lines.append("failures: " + ", ".join(f"{code} {count:,}" for code, count in summary.codes.items()))
    if summary.shards_made:
        start = ", ".join(f"{part} {seconds:.1f}" for part, seconds in summary.startup.items())
        lines.append(
            f"this run: {summary.made_images:,} images in {duration(summary.seconds)}, "
            f"{summary.images_per_second:.1f} images/s on {summary.workers} workers (seconds to start: {start})"
        )
    else:
        lines.append("this run: nothing was left to do")
    if summary.failed:
        where = summary.output.rstrip("/")
        again = f"then `imagegen retry {where}`"
        if OWN_FAULT.issuperset(summary.codes):
            again = "a retry would refuse these rows again; put corrected ones into a new file (docs/how-to/retry.md)"
        lines.append(f"next: see Failures in {where}/{PAGE}, or error_message in {where}/manifest; {again}")
    return "\n".join(lines)


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines with the cells of each column under one another."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
