"""`images/00042/000042017-0.png`, and `metadata.parquet` beside them, as Hugging Face's `imagefolder` reads it.

https://huggingface.co/docs/datasets/image_dataset#imagefolder: `file_name` is relative to the metadata's folder,
only rows of the metadata are read, and one schema holds for all of them. So failures stay out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import pyarrow.parquet as pq

from ..manifest import Entry, ManifestSchema, to_bytes
from ..storage import Store
from .layout import Picture, dataset_row, picture_name, successes

IMAGES = "images"


def image_folder(shard: int) -> str:
    return f"{IMAGES}/{shard:05d}"


def metadata_key(shard: int) -> str:
    return f"{image_folder(shard)}/metadata.parquet"


class ImageFolder:
    """One object a picture."""

    name = "imagefolder"
    files = f"{IMAGES}/**"

    def begin(self, store: Store, shard: int, schema: ManifestSchema) -> FolderWriter:
        return FolderWriter(store, shard, schema)

    def pictures(self, store: Store, shard: int, successes: Sequence[Entry]) -> Iterator[Picture]:
        waiting = iter(successes)
        with ThreadPoolExecutor(max(4, store.threads)) as threads:
            while few := list(islice(waiting, 4 * max(4, store.threads))):  # so many are in memory at once
                found = threads.map(lambda entry: read_or_none(store, entry["file_name"]), few)
                yield from zip(few, found, strict=True)

    def objects(self, store: Store, shard: int) -> Iterator[str]:
        for found in store.list(image_folder(shard)):
            yield found.key

    def expected(self, shard: int, entries: Sequence[Entry]) -> set[str]:
        good = successes(entries)
        return {entry["file_name"] for entry in good} | ({metadata_key(shard)} if good else set())

    def shard_of(self, key: str) -> int | None:
        parts = key.split("/")
        return int(parts[1]) if parts[0] == IMAGES and len(parts) == 3 and parts[1].isdecimal() else None

    def damage(self, store: Store, shard: int, entries: Sequence[Entry], schema: ManifestSchema) -> str | None:
        wanted, found = metadata_bytes(entries, schema), read_or_none(store, metadata_key(shard))
        if wanted == found or (wanted and found and same_rows(wanted, found)):
            return None
        return f"{metadata_key(shard)} does not list the images of the manifest"

    def mend(self, store: Store, shard: int, entries: Sequence[Entry], schema: ManifestSchema) -> None:
        write_metadata(store, shard, entries, schema)


@dataclass(slots=True)
class FolderWriter:
    """Pictures are stored as they come; `finish` writes the metadata and makes the folder durable."""

    store: Store
    shard: int
    schema: ManifestSchema

    def add(self, row: int, image_index: int, extension: str, data: bytes) -> Entry:
        key = f"{image_folder(self.shard)}/{picture_name(row, image_index, extension)}"
        self.store.put(key, data, durable=False)
        return {"file_name": key, "member": None}

    def finish(self, entries: Sequence[Entry]) -> None:
        write_metadata(self.store, self.shard, entries, self.schema)
        self.store.flush(image_folder(self.shard))

    def close(self) -> None:
        """Nothing is held."""


def write_metadata(store: Store, shard: int, entries: Sequence[Entry], schema: ManifestSchema) -> None:
    data = metadata_bytes(entries, schema)
    if data is None:
        store.delete(metadata_key(shard))
    else:
        store.put(metadata_key(shard), data, durable=False)


def metadata_bytes(entries: Sequence[Entry], schema: ManifestSchema) -> bytes | None:
    """The content of `metadata.parquet`; None where the shard has no image, and so needs no such file."""
    good = [
        {"file_name": entry["file_name"].rpartition("/")[2]} | dataset_row(entry, schema)
        for entry in successes(entries)
    ]
    return to_bytes(good, schema.metadata) if good else None


def read_or_none(store: Store, key: str) -> bytes | None:
    try:
        return store.read(key)
    except FileNotFoundError:
        return None


def same_rows(one: bytes, other: bytes) -> bool:
    """Whether two files hold one table, written perhaps by different versions of the library."""
    try:
        return bool(pq.read_table(io.BytesIO(one)).equals(pq.read_table(io.BytesIO(other))))
    except OSError:
        return False
