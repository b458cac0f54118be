"""Counts over finished shards, read from the footers of their manifests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from imagen_model.generation import ErrorCode

from .manifest import Footer, read_footer
from .storage import Store

MOST_TOGETHER = 64  # shards that a thread counts at a time: handing over one alone would cost as much as counting it


@dataclass(frozen=True, slots=True)
class Census:
    """Images (with those that were not made), those that were not made by code, bytes of the image files."""

    images: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    bytes: int = 0

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
        return Census(self.images + other.images, self.codes + other.codes, self.bytes + other.bytes)


def count_shard(store: Store, shard: int) -> Census:
    return census_of(read_footer(store, shard))


def census_of(footer: Footer) -> Census:
    return Census(footer.rows, Counter(footer.counts["codes"]), footer.counts["bytes"])


def count_shards(store: Store, shards: Iterable[int]) -> Census:
    numbers = list(shards)
    size = max(1, min(MOST_TOGETHER, len(numbers) // (4 * store.threads)))
    parts = [numbers[start : start + size] for start in range(0, len(numbers), size)]
    with ThreadPoolExecutor(store.threads) as threads:
        return sum(threads.map(lambda part: count_part(store, part), parts), Census())


def count_part(store: Store, shards: Sequence[int]) -> Census:
    return sum((count_shard(store, shard) for shard in shards), Census())
