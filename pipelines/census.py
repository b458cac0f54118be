"""Counts over finished shards, read from a few columns of their manifests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow.compute as pc

from .manifest import FAILED, read_manifest
from .storage import Store


@dataclass(frozen=True, slots=True)
class Census:
    """Images (failures included), failures, failures by code, bytes of the image files."""

    images: int = 0
    failed: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    bytes: int = 0

    def __add__(self, other: Census) -> Census:
        return Census(
            self.images + other.images, self.failed + other.failed, self.codes + other.codes, self.bytes + other.bytes
        )


def count_shard(store: Store, shard: int) -> Census:
    table = read_manifest(store, shard, ["status", "error_code", "bytes"])
    codes = Counter(code for code in table.column("error_code").to_pylist() if code is not None)
    failed = pc.sum(pc.equal(table.column("status"), FAILED)).as_py() or 0
    return Census(table.num_rows, failed, codes, pc.sum(table.column("bytes")).as_py() or 0)


def count_shards(store: Store, shards: Iterable[int]) -> Census:
    total = Census()
    with ThreadPoolExecutor(store.threads) as threads:
        for census in threads.map(lambda shard: count_shard(store, shard), shards):
            total = total + census
    return total
