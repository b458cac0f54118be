"""Counts over finished shards, read from the footers of their manifests, and one failure of each code to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from imagen_model.generation import ErrorCode

from .manifest import Footer, read_footer, read_manifest
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
    return census_of(read_footer(store, shard), shard)


def census_of(footer: Footer, shard: int) -> Census:
    codes = Counter[str](footer.counts["codes"])
    return Census(footer.rows, codes, footer.counts["bytes"], dict.fromkeys(codes, shard))


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
    found = {}
    for code, _ in census.codes.most_common():
        table = read_manifest(store, census.places[code], ["row", "error_code", "error_message"])
        rows, codes, messages = (table.column(name).to_pylist() for name in table.column_names)
        if code in codes:  # a retry may have mended it since
            at = codes.index(code)
            found[code] = f"row {rows[at]}: {messages[at]}"
    return found
