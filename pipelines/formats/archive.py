"""One object a shard: `data/00042.tar` or `data/00042.parquet`, whole or not there at all.

Pictures wait in a spool until the shard is complete, so that they stand in the order of their rows whatever
order they were made in. A retry copies what it keeps out of the object that it replaces.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Protocol

from ..errors import StoreError
from ..manifest import Entry, ManifestSchema
from ..storage import Store
from ..store_errors import translated
from .layout import Picture, picture_name, successes
from .spool import IN_MEMORY, Spool

DATA = "data"


class Archive(Protocol):
    """A kind of file that holds many pictures with their metadata. The same content gives the same bytes."""

    name: str
    suffix: str

    def write(self, target: BinaryIO, pictures: Iterable[tuple[Entry, bytes]], schema: ManifestSchema) -> None: ...

    def read(self, path: Path) -> Iterator[tuple[str, bytes]]:
        """Each picture's member name and bytes, in the stored order.

        Raises:
            StoreError: the file is damaged.
        """
        ...

    def same(self, one: Path, other: Path) -> bool:
        """Whether two files hold the same, for one that was written by other versions of the libraries."""
        ...


class ArchiveFormat:
    """An output format made of one kind of archive."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.name = archive.name
        self.files = f"{DATA}/*.{archive.suffix}"

    def key(self, shard: int) -> str:
        return f"{DATA}/{shard:05d}.{self.archive.suffix}"

    def begin(self, store: Store, shard: int, schema: ManifestSchema) -> ArchiveWriter:
        return ArchiveWriter(self, store, shard, schema)

    def pictures(self, store: Store, shard: int, successes: Sequence[Entry]) -> Iterator[Picture]:
        with ExitStack() as stack:
            try:
                path = stack.enter_context(store.local_copy(self.key(shard)))
            except FileNotFoundError:
                yield from ((entry, None) for entry in successes)
                return
            yield from matched(self.archive.read(path), successes)

    def objects(self, store: Store, shard: int) -> Iterator[str]:
        if store.exists(self.key(shard)):
            yield self.key(shard)

    def expected(self, shard: int, entries: Sequence[Entry]) -> set[str]:
        return {self.key(shard)} if successes(entries) else set()

    def shard_of(self, key: str) -> int | None:
        name = key.removeprefix(f"{DATA}/").removesuffix(f".{self.archive.suffix}")
        return int(name) if name.isdecimal() and key == self.key(int(name)) else None

    def damage(self, store: Store, shard: int, entries: Sequence[Entry], schema: ManifestSchema) -> str | None:
        good = successes(entries)
        if not good:
            return None
        with tempfile.TemporaryDirectory(prefix="imagegen-") as folder, store.local_copy(self.key(shard)) as found:
            wanted = Path(folder) / "wanted"
            with wanted.open("wb") as target:
                self.archive.write(target, whole(matched(self.archive.read(found), good), self.key(shard)), schema)
            if self.archive.same(wanted, found):
                return None
        return f"{self.key(shard)} holds other rows or metadata than the manifest"

    def mend(self, store: Store, shard: int, entries: Sequence[Entry], schema: ManifestSchema) -> None:
        writer = self.begin(store, shard, schema)
        writer.finish(entries)
        writer.close()


class ArchiveWriter:
    """Writes one archive."""

    def __init__(self, layout: ArchiveFormat, store: Store, shard: int, schema: ManifestSchema) -> None:
        self.layout, self.store, self.shard, self.schema = layout, store, shard, schema
        self.spool = Spool()

    def add(self, row: int, image_index: int, extension: str, data: bytes) -> Entry:
        self.spool.add(row, image_index, data)
        return {"file_name": self.layout.key(self.shard), "member": picture_name(row, image_index, extension)}

    def finish(self, entries: Sequence[Entry]) -> None:
        good, key = successes(entries), self.layout.key(self.shard)
        if not good:
            self.store.delete(key)
            return
        kept = [entry for entry in good if (entry["row"], entry["image_index"]) not in self.spool.places]
        old = self.layout.pictures(self.store, self.shard, kept) if kept else iter(())
        pictures = whole(((entry, self.spooled(entry) or next(old)[1]) for entry in good), key)
        with translated(tempfile.gettempdir()), tempfile.TemporaryDirectory(prefix="imagegen-") as folder:
            path = Path(folder) / "archive"
            with path.open("wb") as target:
                self.layout.archive.write(target, pictures, self.schema)
            if path.stat().st_size <= IN_MEMORY:
                self.store.put(key, path.read_bytes())
            else:
                self.store.put_file(key, path)

    def spooled(self, entry: Entry) -> bytes | None:
        return self.spool.read(entry["row"], entry["image_index"])

    def close(self) -> None:
        self.spool.close()


def matched(stored: Iterator[tuple[str, bytes]], wanted: Sequence[Entry]) -> Iterator[Picture]:
    """Each wanted entry with its member's bytes, both in the order of the rows."""
    ahead = next(stored, None)
    for entry in wanted:
        while ahead is not None and ahead[0] < entry["member"]:
            ahead = next(stored, None)
        found = ahead is not None and ahead[0] == entry["member"]
        yield entry, ahead[1] if found and ahead is not None else None


def whole(pictures: Iterable[Picture], key: str) -> Iterator[tuple[Entry, bytes]]:
    for entry, data in pictures:
        if data is None:
            raise StoreError(
                f"{key} lacks {entry['member']}, which its manifest names; delete "
                f"manifest/{entry['shard']:05d}.parquet and run the same job again"
            )
        yield entry, data
