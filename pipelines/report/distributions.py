"""How the values of a run's columns are spread: histograms of numbers, most frequent values of everything else."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..manifest import SUCCESS, ManifestSchema
from .chunks import PARAMETERS, columns_of, shown

BINS = 40
FAR = 3  # times the range of 99 % of the values; what is beyond is put together
FEW = 12  # different numbers that are shown one by one
MOST_VALUES = 8  # of a column of texts
MOST_CHOICES = 40  # different values of a column that the gallery offers to choose from


@dataclass(frozen=True, slots=True)
class Distribution:
    """Args:
    column: of the manifest, by which the gallery can be filtered; "" for a derived value.
    title, unit: for people.
    values: label -> rows, the most frequent first; of a histogram none.
    others: rows with further values; different: how many different values there are.
    bins: rows of each of `BINS` equal steps from `low` to `high`; empty for values.
    above, top: rows above `high`, counted in the last step, and the highest value: a few far ones would hide the rest.
    missing: rows without a value.
    """

    column: str
    title: str
    unit: str
    values: tuple[tuple[str, int], ...] = ()
    others: int = 0
    different: int = 0
    bins: tuple[int, ...] = ()
    low: float = 0.0
    high: float = 0.0
    median: float = 0.0
    above: int = 0
    top: float = 0.0
    missing: int = 0

    @property
    def most(self) -> int:
        return max([count for _, count in self.values] + list(self.bins) + [self.others, 1])


def distributions(rows: pa.Table, schema: ManifestSchema) -> list[Distribution]:
    """Of sizes, prompts, seeds, time, bytes, and of every passed-through column."""
    good = rows.filter(pc.equal(rows.column("status"), SUCCESS))
    sizes = Counter(zip(good.column("width").to_pylist(), good.column("height").to_pylist(), strict=True))
    found = [
        ranked(Counter({f"{width}x{height}": count for (width, height), count in sizes.items()}), "", "Size", "pixels"),
        histogram(pc.utf8_length(rows.column("prompt")), "", "Prompt length", "characters"),
        histogram(rows.column("seed"), "seed", "Seed", ""),
        histogram(good.column("bytes"), "bytes", "File size", "bytes"),
        histogram(good.column("generation_ms"), "generation_ms", "Generation", "ms a picture"),
    ]
    own = [name for name in columns_of(schema) if name in (*PARAMETERS, *schema.names)]
    found += [distribution(rows.column(name), name) for name in own]
    return [each for each in found if each is not None and (each.different > 1 or each.title == "Size")]


def distribution(column: pa.ChunkedArray, name: str) -> Distribution | None:
    """None where the column has no value."""
    if is_number(column.type):
        return histogram(column, name, name, "")
    counts = Counter(text(value) for value in column.to_pylist() if value is not None)
    return ranked(counts, name, name, "", column.null_count)


def is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def text(value: Any) -> str:
    return str(shown(value))[:200]


def ranked(counts: Counter[str], column: str, title: str, unit: str, missing: int = 0) -> Distribution | None:
    if not counts:
        return None
    best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    listed = best[:MOST_VALUES] if best[0][1] > 1 or len(best) <= MOST_VALUES else []
    others = counts.total() - sum(count for _, count in listed)
    return Distribution(column, title, unit, tuple(listed), others, len(counts), missing=missing)


def histogram(column: pa.ChunkedArray, name: str, title: str, unit: str) -> Distribution | None:
    values = column.cast(pa.float64(), safe=False).to_numpy()
    finite = values[np.isfinite(values)]
    missing = len(values) - len(finite)
    if not len(finite):
        return None
    different, counts = np.unique(finite, return_counts=True)
    if len(different) <= FEW:
        few = tuple((f"{value:.12g}", int(count)) for value, count in zip(different, counts, strict=True))
        return Distribution(name, title, unit, few, 0, len(different), missing=missing)
    low, top = float(different[0]), float(different[-1])
    usual = float(np.percentile(finite, 99))
    high = usual if top - low > FAR * (usual - low) > 0 else top
    bins, _ = np.histogram(np.minimum(finite, high), bins=BINS, range=(low, high))
    return Distribution(
        name,
        title,
        unit,
        different=len(different),
        bins=tuple(map(int, bins)),
        low=low,
        high=high,
        median=float(np.median(finite)),
        above=int((finite > high).sum()),
        top=top,
        missing=missing,
    )


def facets(rows: pa.Table, schema: ManifestSchema) -> list[dict[str, Any]]:
    """What the gallery can be filtered and sorted by: columns with more than one value.

    Returns:
        `column`, and `low` and `high` of numbers, `choices` of few values, or neither: a text to search in.
    """
    found: list[dict[str, Any]] = []
    for name in columns_of(schema):
        column = rows.column(name)
        if name in ("prompt", "id", "error_code", "error_message", "format") or pc.count_distinct(column).as_py() < 2:
            continue
        if is_number(column.type):
            values = column.cast(pa.float64(), safe=False).to_numpy()
            finite = values[np.isfinite(values)]
            found.append({"column": name, "low": float(finite.min()), "high": float(finite.max())})
            continue
        counts = Counter(shown(value) for value in column.to_pylist() if value is not None)
        few = sorted(counts, key=str) if len(counts) <= MOST_CHOICES else None
        found.append({"column": name} | ({"choices": few} if few else {}))
    return found
