"""What every output format offers: to write a shard's pictures, to read them back, and to say what is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

from ..manifest import SUCCESS, Entry, ManifestSchema
from ..storage import Store

Picture = tuple[Entry, bytes | None]


class ShardWriter(Protocol):
    """Takes one shard's pictures from several threads, then makes all of them durable at once."""

    def add(self, row: int, image_index: int, extension: str, data: bytes) -> Entry:
        """Take over one encoded picture.

        Returns:
            `file_name` and `member` of its manifest row.
        """
        ...

    def finish(self, entries: Sequence[Entry]) -> None:
        """Make the shard durable.

        Args:
            entries: all of the shard's manifest rows in order. Successes that were not added are kept from
                what is stored already: a retry.
        """
        ...

    def close(self) -> None:
        """Free what the writer holds; also where the shard was given up."""
        ...


class OutputFormat(Protocol):
    """One way to store pictures. Keys are relative to the output."""

    name: str
    files: str

    def begin(self, store: Store, shard: int, schema: ManifestSchema) -> ShardWriter: ...

    def pictures(self, store: Store, shard: int, successes: Sequence[Entry]) -> Iterator[Picture]:
        """Each success with its file's bytes, in order; None where it is missing.

        Args:
            successes: entries of the shard, in order.
        """
        ...

    def objects(self, store: Store, shard: int) -> Iterator[str]:
        """Keys of what is stored for the shard, the manifest aside."""
        ...

    def expected(self, shard: int, entries: Sequence[Entry]) -> set[str]:
        """Keys of what should be."""
        ...

    def shard_of(self, key: str) -> int | None:
        """The shard to which the object belongs by its name."""
        ...

    def damage(self, store: Store, shard: int, entries: Sequence[Entry], schema: ManifestSchema) -> str | None:
        """What is wrong beyond single pictures; None for nothing. Called when every picture is right."""
        ...

    def mend(self, store: Store, shard: int, entries: Sequence[Entry], schema: ManifestSchema) -> None:
        """Write anew what `damage` found."""
        ...


def successes(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry["status"] == SUCCESS]


def picture_name(row: int, image_index: int, extension: str) -> str:
    """Only numbers: no user text is ever part of a path."""
    return f"{row:09d}-{image_index}.{extension}"


def dataset_row(entry: Entry, schema: ManifestSchema) -> Entry:
    """What a dataset's reader gets beside the picture: `text`, and the columns of `ManifestSchema.metadata`."""
    return {"text": entry["prompt"], **{name: entry[name] for name in schema.metadata_names}}


def json_row(entry: Entry, schema: ManifestSchema) -> Entry:
    """`dataset_row` for JSON, which has no NaN.

    Absent text is "", an absent number is left out: a null would be taken for the column's type by readers that
    guess it from the first rows.
    """
    texts = schema.metadata_texts
    row = {name: "" if cell is None and name in texts else cell for name, cell in dataset_row(entry, schema).items()}
    return {name: cell for name, cell in row.items() if not absent(cell)}


def absent(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and not math.isfinite(cell))
