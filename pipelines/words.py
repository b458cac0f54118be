"""Numbers as a person says them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby


def duration(seconds: float) -> str:
    """As a person says it: 42 s, 3 min 20 s, 5 h 10 min, 3 d 2 h."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count) or "0 s"


def seconds(value: float) -> str:
    """Like `duration`, exact where it is short: 0.25 s."""
    return f"{value:.2g} s" if value < 9.95 else duration(value)


def size_of(count: float) -> str:
    """Bytes in the decimal units that disks are sold in."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def number(value: float) -> str:
    """With separators where it is large, with three digits where it is small: 12,345 and 0.123."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}".removesuffix(".0")


def counted(count: int, noun: str, several: str | None = None) -> str:
    """1 worker, 2 workers."""
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers, each once, as 3, 7-12, 20."""
    groups = groupby(enumerate(dict.fromkeys(numbers)), lambda pair: pair[1] - pair[0])
    runs = [[value for _, value in group] for _, group in groups]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
