"""What a person reads at the end of a run, and words that several commands use."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pipelines.errors import OWN_FAULT
from pipelines.progress import Summary
from pipelines.reporting import PAGE
from pipelines.words import counted, cut, duration, size_of

MOST_SHOWN = 240  # characters of a failed row's message


def filtered(count: int) -> str:
    """What follows the number of failures, where a model's safety checker held pictures back."""
    return f", {count:,} filtered" if count else ""


def describe_summary(summary: Summary) -> str:
    """The last lines of a run."""
    lines = [
        f"{summary.output}: {counted(summary.rows, 'row')}, {counted(summary.succeeded, 'image')}, "
        f"{summary.failed:,} failed"
        f"{filtered(summary.filtered)}, {size_of(summary.bytes)}, model {summary.model} ({summary.model_revision})"
    ]
    lines += failure_lines(summary.codes, summary.examples)
    if summary.shards_made:
        start = ", ".join(f"{part} {seconds:.1f}" for part, seconds in summary.startup.items())
        lines.append(
            f"this run: {counted(summary.made_images, 'image')} in {duration(summary.seconds)}, "
            f"{summary.images_per_second:.1f} images/s on {counted(summary.workers, 'worker')} "
            f"(seconds to start: {start})"
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
