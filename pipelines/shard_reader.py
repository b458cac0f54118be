"""One shard's rows out of the table's Parquet files, touching only the row groups that hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import UnreadableTable
from .remote_tables import filesystem_of, passing, reading

ROW = "__row__"
SHARD = "__shard__"
BATCH = 4096  # rows decoded at a time, however large the row group is
BUFFER = 2**20  # bytes of a column chunk read at a time


@dataclass(frozen=True, slots=True)
class Piece:
    """`rows` rows of the Parquet file at `url`, from row `start` of that file on."""

    url: str
    start: int
    rows: int


@dataclass(frozen=True, slots=True)
class Shard:
    """Consecutive rows [start, stop) of the table, made of pieces of one file or more."""

    number: int
    start: int
    stop: int
    pieces: tuple[Piece, ...]


def read_shard(shard: Shard, schema: pa.Schema) -> pa.Table:
    """The shard's rows in `schema`, with the columns `ROW` (its number in the table) and `SHARD`.

    Columns that a file lacks are null.

    Raises:
        UnreadableTable: a file's pages are damaged, or it is shorter than it was when the plan was made.
    """
    batches = [
        batch
        for piece in shard.pieces
        for batch in reading(lambda piece=piece: list(read_piece(piece, schema)), piece.url)  # type: ignore[misc]
    ]
    table = pa.Table.from_batches(batches, schema).combine_chunks()
    count = shard.stop - shard.start
    if table.num_rows != count:
        raise UnreadableTable(
            f"rows {shard.start} to {shard.stop - 1} are not all in {shard.pieces[0].url} any more "
            f"({table.num_rows} of {count} found); restore the table"
        )
    numbers = pa.array(range(shard.start, shard.stop), pa.int64())
    return table.append_column(ROW, numbers).append_column(SHARD, pa.array([shard.number] * count, pa.int64()))


def read_piece(piece: Piece, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    try:
        filesystem, path = filesystem_of(piece.url)
        with filesystem.open(path, "rb") as handle:
            file = pq.ParquetFile(handle, buffer_size=BUFFER, pre_buffer=False)
            groups, skip = row_groups(file.metadata, piece)
            present = set(file.schema_arrow.names)
            columns = [name for name in schema.names if name in present]
            left = piece.rows
            for batch in file.iter_batches(BATCH, row_groups=groups, columns=columns):
                if skip >= batch.num_rows:
                    skip -= batch.num_rows
                    continue
                batch = batch.slice(skip, left)
                skip, left = 0, left - batch.num_rows
                yield fit(batch, schema)
                if not left:
                    return
    except (pa.ArrowException, OSError) as error:
        if passing(error, piece.url):
            raise  # for `reading` to try again
        raise UnreadableTable(f"{piece.url} cannot be read ({error}); restore the file or write it again") from error


def row_groups(footer: pq.FileMetaData, piece: Piece) -> tuple[list[int], int]:
    """The row groups that hold the piece, and how many rows of the first come before it."""
    groups: list[int] = []
    skip, first = 0, 0
    for index in range(footer.num_row_groups):
        after = first + footer.row_group(index).num_rows
        if after > piece.start and first < piece.start + piece.rows:
            skip = skip if groups else piece.start - first
            groups.append(index)
        first = after
    return groups, skip


def fit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    present = set(batch.schema.names)
    arrays = [
        batch.column(field.name).cast(field.type) if field.name in present else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
