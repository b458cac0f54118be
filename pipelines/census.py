"""Counts over finished shards, read from the footers of their manifests, and one failure of each code to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from imagen_model.generation import ErrorCode

from .manifest import read_footer, read_manifest
from .storage import Store

MOST_TOGETHER = 64  # shards that a thread counts at a time: handing over one alone would cost as much as counting it


@dataclass(frozen=True, slots=True)
class Census:
    """Args:
    images: with those that were not made.
    codes: of those that were not made.
    bytes: of the image files.
    places: a shard for each code that was seen there.
    """

    images: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    places: Mapping[str, int] = field(default_factory=dict, compare=False)

    @property
    def filtered(self) -> int:
        """Held back by the model's safety checker."""
        return self.codes[ErrorCode.CONTENT_FILTERED]

    @property
    def failed(self) -> int:
        return self.codes.total() - self.filtered

    @property
    def succeeded(self) -> int:
        return self.images - self.codes.total()

    def __add__(self, other: Census) -> Census:
        places = {**other.places, **self.places}
        return Census(self.images + other.images, self.codes + other.codes, self.bytes + other.bytes, places)


def count_shard(store: Store, shard: int) -> Census:
    footer = read_footer(store, shard)
    return census_of(footer.rows, footer.counts, shard)


def census_of(rows: int, counts: Mapping[str, Any], shard: int) -> Census:
    """Of one shard, as its footer counts it."""
    codes = Counter[str](counts["codes"])
    return Census(rows, codes, counts["bytes"], dict.fromkeys(codes, shard))


def count_shards(store: Store, shards: Iterable[int]) -> Census:
    numbers = list(shards)
    size = max(1, min(MOST_TOGETHER, len(numbers) // (4 * store.threads)))
    parts = [numbers[start : start + size] for start in range(0, len(numbers), size)]
    with ThreadPoolExecutor(store.threads) as threads:
        return sum(threads.map(lambda part: count_part(store, part), parts), Census())


def count_part(store: Store, shards: Sequence[int]) -> Census:
    return sum((count_shard(store, shard) for shard in shards), Census())


def failure_examples(store: Store, census: Census) -> dict[str, str]:
    """What one failed row of each code says, the commonest code first; reads a shard's manifest for each."""
    columns = ["row", "error_code", "error_message"]
    return examples(census, lambda shard: read_manifest(store, shard, columns), "row ")


def examples(census: Census, read: Callable[[int], pa.Table], before: str = "") -> dict[str, str]:
    """Args:
    read: a shard's names, codes and messages, in columns of that order.
    before: what stands before a name.
    """
    found = {}
    for code, _ in census.codes.most_common():
        table = read(census.places[code])
        names, codes, messages = (table.column(name).to_pylist() for name in table.column_names)
        if code in codes:  # a retry may have mended it since
            at = codes.index(code)
            found[code] = f"{before}{names[at]}: {messages[at]}"
    return found
