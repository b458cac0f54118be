"""The record of a shard: one row an image, failures included. Its existence means that the shard is done.

`manifest/00042.parquet` is written last, in one atomic step. How the pictures themselves are stored is the output
format's to say (`formats/`).
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .columns import ColumnMap
from .errors import StoreError
from .passes import PASSES, Pass, passes_of, passes_text
from .storage import Store

MANIFEST = "manifest"
COUNTS = b"imagegen.counts"  # key in a manifest's footer
SUCCESS, FAILED, FILTERED = "success", "failed", "filtered"
MAX_FAILED_PROMPT = 1000  # characters kept of a prompt that was refused
MAX_MESSAGE = 2000
SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("image_index", pa.int32()),
        ("shard", pa.int32()),
        ("file_name", pa.string()),  # the object that holds the picture, relative to the output
        ("member", pa.string()),  # the picture's name inside it, where that is an archive
        ("prompt", pa.string()),
        ("negative_prompt", pa.string()),
        ("seed", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("num_inference_steps", pa.int32()),
        ("guidance_scale", pa.float64()),
        ("top_k", pa.int32()),
        ("top_p", pa.float64()),
        ("temperature", pa.float64()),
        ("model", pa.string()),
        ("model_revision", pa.string()),
        ("config_fingerprint", pa.string()),
        ("status", pa.string()),
        ("error_code", pa.string()),
        ("error_message", pa.string()),
        ("attempts", pa.int32()),
        ("format", pa.string()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("generation_ms", pa.float64()),
        ("worker", pa.string()),
        ("created_at", pa.timestamp("us", tz="UTC")),
    ]
)
# Only in manifests of runs that name them, in a column or for all rows: others stay as they always were. With
# post-processing, `width` and `height` are the finished picture's and these are those that were asked of the model.
OPTIONAL = {
    "best_of": (("best_of", pa.int32()),),
    "post_processing": (
        ("post_processing", pa.string()),
        ("generated_width", pa.int32()),
        ("generated_height", pa.int32()),
    ),
    "grey_image": (("grey_image", pa.string()), ("grey_image_sha256", pa.string())),
}
METADATA = ("id", "row", "image_index", "seed", "width", "height", "model")  # after file_name and text
PREFIX = "input_"  # of an own column whose name the manifest needs itself

Entry = dict[str, Any]


def manifest_key(shard: int) -> str:
    return f"{MANIFEST}/{shard:05d}.parquet"


def shard_of(key: str) -> int | None:
    """The shard whose manifest `key` is; None for another object."""
    name = key.removeprefix(f"{MANIFEST}/").removesuffix(".parquet")
    return int(name) if name.isdecimal() and key == manifest_key(int(name)) else None


@dataclass(frozen=True)  # no slots: what follows from the schema is made once, for it is asked for in every row
class ManifestSchema:
    """Args:
    passed: the table's own columns as read.
    names: those columns' names in the manifest, in the same order.
    fixed: the manifest's columns before them.
    """

    passed: pa.Schema
    names: tuple[str, ...]
    fixed: pa.Schema = SCHEMA

    @classmethod
    def of(cls, schema: pa.Schema, columns: ColumnMap, parameters: Mapping[str, Any]) -> ManifestSchema:
        """Args:
        schema: of the columns that are read from the table.
        parameters: of the plan's settings.
        """
        used = [part for part in OPTIONAL if part in columns.parts or parameters.get(part) is not None]
        fixed = pa.schema([*SCHEMA, *(pa.field(*field) for part in used for field in OPTIONAL[part])])
        names: list[str] = []
        for column in columns.others:
            name = column
            while name in fixed.names or name in {"text", *names}:
                name = PREFIX + name
            names.append(name)
        return cls(pa.schema([schema.field(column) for column in columns.others]), tuple(names), fixed)

    @cached_property
    def full(self) -> pa.Schema:
        own = [pa.field(name, solid(field.type)) for name, field in zip(self.names, self.passed, strict=True)]
        return pa.schema([*self.fixed, *own])

    @cached_property
    def metadata(self) -> pa.Schema:
        """Of what a dataset's reader gets: own columns only where they hold plain values."""
        kept = [pa.field("file_name", pa.string()), pa.field("text", pa.string()), *map(SCHEMA.field, METADATA)]
        return pa.schema([*kept, *(field for field in list(self.full)[len(self.fixed) :] if plain(field.type))])

    @cached_property
    def metadata_names(self) -> tuple[str, ...]:
        """Of the columns of `metadata` that are manifest columns by the same name."""
        return tuple(self.metadata.names[2:])

    @cached_property
    def metadata_texts(self) -> frozenset[str]:
        """Names of the text columns of `metadata`."""
        return frozenset(field.name for field in self.metadata if pa.types.is_string(field.type))

    @classmethod
    def stored(cls, schema: pa.Schema) -> ManifestSchema:
        """Of a manifest that was read back."""
        fields = list(schema)
        first = len(SCHEMA)
        for columns in OPTIONAL.values():
            found = [(field.name, field.type) for field in fields[first : first + len(columns)]]
            first += len(columns) if found == list(columns) else 0
        own = fields[first:]
        return cls(pa.schema(own), tuple(field.name for field in own), pa.schema(fields[:first]))

    def passed_values(self, cells: Mapping[str, Any]) -> Entry:
        return {name: cells.get(field.name) for name, field in zip(self.names, self.passed, strict=True)}


def solid(kind: pa.DataType) -> pa.DataType:
    """A column of nothing but nulls has a type of its own, which breaks readers that join files."""
    if pa.types.is_dictionary(kind):
        return solid(kind.value_type)
    return pa.string() if pa.types.is_null(kind) else kind


def plain(kind: pa.DataType) -> bool:
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating)
    return pa.types.is_boolean(kind) or any(check(kind) for check in checks)


def to_bytes(entries: Sequence[Entry], schema: pa.Schema) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(entries), schema=schema), sink, compression="zstd")
    return sink.getvalue()


class Finish(Protocol):
    """Makes a shard's pictures durable; a `ShardWriter` of the output format."""

    def finish(self, entries: Sequence[Entry]) -> None: ...


def write_shard(
    store: Store,
    writer: Finish,
    shard: int,
    entries: Sequence[Entry],
    schema: ManifestSchema,
    passes: Sequence[Pass] = (),
) -> None:
    """Commit: the pictures are made durable first; the manifest is the last object to appear.

    Args:
        passes: over the shard, this one last; the time of its commit is added, but for the manifest itself.
    """
    ordered = sorted(entries, key=lambda entry: (entry["row"], entry["image_index"]))
    begun = time.perf_counter()
    writer.finish(ordered)
    if passes:
        passes[-1].seconds.setdefault("commit", round(time.perf_counter() - begun, 4))  # an export has it already
    store.put(manifest_key(shard), manifest_bytes(pa.Table.from_pylist(ordered, schema=schema.full), passes))
    store.flush(MANIFEST)


def manifest_bytes(table: pa.Table, passes: Sequence[Pass] = ()) -> bytes:
    """The manifest of these rows. Its footer says what they count, so that nobody reads rows for it."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({COUNTS.decode(): json.dumps(counts(table), sort_keys=True)})
        if passes:
            writer.add_key_value_metadata({PASSES.decode(): passes_text(passes)})
    return sink.getvalue()


def counts(table: pa.Table) -> dict[str, Any]:
    """Bytes of the pictures, and failures by code, from the columns `bytes` and `error_code`."""
    codes = pc.value_counts(table.column("error_code").drop_null()).to_pylist()
    size = pc.sum(table.column("bytes")).as_py() or 0
    return {"bytes": size, "codes": {found["values"]: found["counts"] for found in codes}}


@dataclass(frozen=True, slots=True)
class Footer:
    """What a manifest says of its rows without their being read: how many, `counts` of them, the passes over them."""

    rows: int
    counts: dict[str, Any]
    passes: list[Pass]


def read_footer(store: Store, shard: int) -> Footer:
    """Raises as `read_manifest`."""
    with reading(store, shard) as source:
        footer = pq.read_metadata(source)
        stated = (footer.metadata or {}).get(COUNTS)
        if stated is not None:
            found = json.loads(stated)
        else:  # another program's
            found = counts(pq.read_table(source, columns=["bytes", "error_code"]))
        return Footer(footer.num_rows, found, passes_of(footer.metadata))


def read_manifest(store: Store, shard: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Raises:
    StoreError: it is not a manifest.
    FileNotFoundError: there is none.
    """
    with reading(store, shard) as source:
        return pq.read_table(source, columns=None if columns is None else list(columns))


@contextmanager
def reading(store: Store, shard: int) -> Iterator[pa.BufferReader]:
    data = store.read(manifest_key(shard))
    try:
        yield pa.BufferReader(data)
    except pa.ArrowException as error:
        raise StoreError(
            f"{store.child_url(manifest_key(shard))} is damaged ({error}); delete it and run the same job again"
        ) from error


def finished_shards(store: Store) -> set[int]:
    """Numbers of the shards that are done, by one listing."""
    return {number for found in store.list(MANIFEST) if (number := shard_of(found.key)) is not None}


def safe_text(value: object, most: int = MAX_FAILED_PROMPT) -> str | None:
    r"""Any value as text that UTF-8 and a terminal can hold: cut, with control characters as `\x07`."""
    if value is None:
        return None
    text = value if isinstance(value, str) else repr(value)
    cut = text[:most] + ("…" if len(text) > most else "")
    return "".join(c if c.isprintable() or c in "\n\t" else escaped(c) for c in cut)


def escaped(character: str) -> str:
    return (
        character.encode("ascii", "backslashreplace").decode() if ord(character) > 127 else f"\\x{ord(character):02x}"
    )


def now() -> datetime:
    return datetime.now(UTC)
