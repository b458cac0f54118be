"""What a person sees while a job runs: one line on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Self, TextIO

from pipelines.errors import OWN_FAULT
from pipelines.progress import Progress, Summary
from pipelines.reporting import PAGE
from pipelines.words import cut, duration, size_of

LOG_EVERY_SECONDS = 10.0
MOST_SHOWN = 240  # characters of a failed row's message


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
    lines += failure_lines(summary.codes, summary.examples)
    if summary.shards_made:
        start = ", ".join(f"{part} {seconds:.1f}" for part, seconds in summary.startup.items())
        lines.append(
            f"this run: {summary.made_images:,} images in {duration(summary.seconds)}, "
            f"{summary.images_per_second:.1f} images/s on {summary.workers} workers (seconds to start: {start})"
        )
    else:
        lines.append("this run: nothing was left to do")
    left = summary.planned_rows - summary.rows
    if left:
        lines.append(
            f"the output was planned for {summary.planned_rows:,} rows: {left:,} were not asked for (--limit) and may "
            "be missing, as `status` and `verify` will say; the same command without --limit makes them"
        )
    elif not summary.complete:
        lines.append("not finished: shards are missing; run the job's own command again to make them")
    if summary.failed:
        lines.append(f"next: {failed_next(summary.output, summary.codes)}")
    return "\n".join(lines)


def failed_next(output: str, codes: Collection[str]) -> str:
    """What to do about the failed rows of an output."""
    where = output.rstrip("/")
    again = f"then `imagegen retry {where}`"
    if OWN_FAULT.issuperset(codes):
        again = "a retry would refuse these rows again; put corrected ones into a new file (docs/how-to/retry.md)"
    return f"see Failures in {where}/{PAGE}, or error_message in {where}/manifest; {again}"


def failure_lines(codes: Mapping[str, int], examples: Mapping[str, str]) -> list[str]:
    """A line for each error code: how often, and what one row of it says."""
    return [
        f"failures: {code} {count:,}" + (f", such as {one_line(examples[code])}" if code in examples else "")
        for code, count in codes.items()
    ]


def one_line(text: str) -> str:
    return cut(" ".join(text.split()), MOST_SHOWN)


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines with the cells of each column under one another."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
