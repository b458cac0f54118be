"""The prompt table: its files, their footers and the part that each column plays. No row is read here."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .columns import ColumnMap, map_columns
from .errors import EmptyTable, NoFilesMatch, NoPromptColumn, SchemaConflict, UnreadableTable
from .remote_tables import filesystem_of, passing, reading
from .storage import Store
from .table_files import TableFiles
from .text_lines import INVALID
from .text_tables import convert, told_format

CONVERTED = ".run/table"
CONVERTER = "1"  # part of a converted file's name; raise it when `convert` writes something else


@dataclass(frozen=True, slots=True)
class TableFile:
    """One file of the table as Parquet.

    Args:
        name: the source's name relative to the folder that the user gave.
        url: where the Parquet file is.
        size: bytes of the source.
        rows, row_groups: as its footer says.
        sha256: of the footer, or of the whole source where that is no Parquet; hex.
        schema: of all its columns.
    """

    name: str
    url: str
    size: int
    rows: int
    row_groups: int
    sha256: str
    schema: pa.Schema


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file of the table as it was when the plan was made; `sha256` as in `TableFile`."""

    name: str
    size: int
    rows: int
    row_groups: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PromptTable:
    """Args:
    files: in the order of their rows.
    schema: of the columns that are read, the same for every file.
    columns: which column plays which part.
    folder: path or URL that the files' names, and paths in rows, are relative to.
    """

    files: tuple[TableFile, ...]
    schema: pa.Schema
    columns: ColumnMap
    folder: str

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)


def open_table(
    files: TableFiles, prompt_column: str | None, store: Store, first: Sequence[str] = (), rest: bool = True
) -> PromptTable:
    """Read the footers; write tables that are not Parquet to the store as Parquet, unless they are there.

    Args:
        first: names of the files that come first, in this order, as far as they are there: those of a plan, so
            that files which came later change no row number and no order of columns.
        rest: open the other files too.

    Raises:
        TableError: of the kind that says why it is no prompt table.
    """
    opened: list[TableFile] = []
    schema: pa.Schema | None = None
    first_with: dict[str, str] = {}  # column -> the first file that has it
    known: dict[pa.Schema, pa.Schema] = {}  # most files share one, and there may be thousands
    places = {name: index for index, name in enumerate(files.names)}
    wanted = [places.pop(name) for name in first if name in places]
    for index in [*wanted, *(places.values() if rest else ())]:
        file = open_file(files, index, prompt_column, store)
        found = known.setdefault(file.schema, file.schema)
        opened.append(dataclasses.replace(file, schema=found))
        schema = found if schema is None else unify(schema, found, file.name, first_with)
        for column in found.names:
            first_with.setdefault(column, file.name)
    if schema is None:
        raise NoFilesMatch(f"{files.prompts} holds none of the planned files; restore them")
    try:
        columns = map_columns([name for name in schema.names if name != INVALID], prompt_column)
    except NoPromptColumn as error:
        raise NoPromptColumn(f"{files.prompts}: {error}") from None
    prompt = columns.parts["prompt"]
    for file in opened:
        if file.rows and prompt not in file.schema.names and file.schema.names != [INVALID]:
            raise NoPromptColumn(
                f"{files.prompts}: {file.name} has no column {prompt!r}, which holds the prompts in "
                f"{first_with[prompt]}; write it with that column, or take it out of the table"
            )
    table = PromptTable(tuple(opened), schema_read(schema, columns), columns, files.folder)
    if table.rows == 0:
        raise EmptyTable(f"{files.prompts} has no row; give a table with at least one prompt")
    return table


def planned_files(table: PromptTable) -> tuple[PlannedFile, ...]:
    """The files as a plan records them."""
    return tuple(PlannedFile(file.name, file.size, file.rows, file.row_groups, file.sha256) for file in table.files)


def schema_read(schema: pa.Schema, columns: ColumnMap) -> pa.Schema:
    wanted = [name for name in schema.names if name in columns.wanted() or name == INVALID]
    return pa.schema([pa.field(name, schema.field(name).type) for name in wanted])


def unify(schema: pa.Schema, found: pa.Schema, name: str, first_with: dict[str, str]) -> pa.Schema:
    """One schema for both: columns united by name, types widened where no value is lost."""
    try:
        return pa.unify_schemas([schema, found], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        pass
    for field in found:
        if field.name in schema.names:
            try:
                pa.unify_schemas(
                    [pa.schema([schema.field(field.name)]), pa.schema([field])], promote_options="permissive"
                )
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                raise SchemaConflict(
                    f"column {field.name!r} is {schema.field(field.name).type} in {first_with[field.name]} but "
                    f"{field.type} in {name}; write both with one type"
                ) from None
    raise SchemaConflict(f"the columns of {name} do not fit those of the files before it; write all with one schema")


def open_file(files: TableFiles, index: int, prompt_column: str | None, store: Store) -> TableFile:
    path, name = files.paths[index], files.names[index]
    if files.format == "parquet":
        url = files.url(index)
        size, footer, digest = reading(lambda: read_footer(lambda: files.open(index), url), url)
    else:
        with tempfile.TemporaryDirectory(prefix="imagegen-") as folder:
            source = files.local(index, Path(folder))
            with source() as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
                size = handle.tell()
            key = converted_key(digest, files.format, prompt_column)
            told = files.format
            if not files.named and not store.exists(key):  # where it is there, a run before this one read the file so
                told = told_format(source, told, prompt_column)
                key = converted_key(digest, told, prompt_column)
            if not store.exists(key):
                target = Path(folder) / "table.parquet"
                convert(source, path, told, prompt_column, str(target))
                store.put_file(key, target)
        url = store.child_url(key)
        filesystem, converted = filesystem_of(url)
        footer = reading(lambda: read_footer(lambda: filesystem.open(converted, "rb"), url)[1], url)
    schema = footer.schema.to_arrow_schema().remove_metadata()
    twice = sorted({column for column in schema.names if schema.names.count(column) > 1})
    if twice:
        raise SchemaConflict(f"{path} has two columns named {twice[0]!r}; rename one")
    return TableFile(name, url, size, footer.num_rows, footer.num_row_groups, digest, schema)


def converted_key(digest: str, file_format: str, prompt_column: str | None) -> str:
    """A name that changes with whatever changes the converted file."""
    made_from = f"{CONVERTER}\n{digest}\n{file_format}\n{prompt_column or ''}"
    return f"{CONVERTED}/{hashlib.sha256(made_from.encode()).hexdigest()[:24]}.parquet"


def read_footer(open_file: Callable[[], Any], path: str) -> tuple[int, pq.FileMetaData, str]:
    """Size of the file in bytes, its footer and the footer's sha256.

    Raises:
        UnreadableTable: it is not a whole Parquet file.
    """
    with open_file() as handle:
        size = handle.seek(0, 2)
        handle.seek(max(size - 8, 0))
        tail = handle.read(8)
        length = int.from_bytes(tail[:4], "little")
        if size < 12 or tail[4:] != b"PAR1" or length + 12 > size:
            raise UnreadableTable(
                f"{path} is not a Parquet file or is cut off (its last bytes are {tail[4:]!r}, not b'PAR1'); "
                "write it again, or give the input format it has"
            )
        handle.seek(size - 8 - length)
        digest = hashlib.sha256(handle.read(length)).hexdigest()
        try:
            handle.seek(0)
            return size, pq.ParquetFile(handle).metadata, digest
        except (pa.ArrowException, OSError) as error:
            if passing(error, path):
                raise
            raise UnreadableTable(f"{path} has a damaged Parquet footer ({error}); write it again") from error
