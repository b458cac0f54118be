"""CSV, TSV, JSONL, plain text and caption files become Parquet once, so that everything after reads one format.

Streaming, with memory bounded by `BATCH` rows: a file is read once to learn its columns' types (JSONL only)
and once to write it. A line that cannot be read becomes a row whose `INVALID` column says why: it ends in the
manifest as an `invalid_row` failure, so that row numbers stay those of the file and nothing is dropped.
Blank lines are rows too (they end as `empty_prompt`), but in `paragraphs`, whose rows they part; the file's final
line end starts no row.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imagen_model.caption_files import NotACaptionFile, read_coco, read_conceptual_captions

from .a1111_lines import SCHEMA, a1111_rows, is_a1111
from .batch_requests import batch_rows, batch_schema, is_batch
from .columns import map_columns
from .errors import EmptyTable, TableError
from .text_lines import INVALID, TEXT, Row, decode, lines, parse_object, storable

MAX_COLUMNS = 1000
MAX_FIELD = 4 * 2**20  # characters of one CSV field: an unclosed quote must not swallow a whole file
DELIMITERS = (";", "\t", "|")
BATCH = 4096  # rows in memory
MAX_PARAGRAPH = 2**20  # characters
CAPTION_FILES = {"coco": read_coco, "conceptual-captions": read_conceptual_captions}


def convert(open_file: Callable[[], Any], name: str, file_format: str, prompt_column: str | None, target: str) -> None:
    """Write the table in `open_file()` to a Parquet file at `target`, a local path.

    Args:
        name: the file's name, for messages.
        file_format: csv, tsv, jsonl, text, paragraphs, openai-batch, a1111, coco or conceptual-captions.

    Raises:
        TableError: the file is UTF-16, or has no header, or no prompt column, or is none of that format.
    """
    with open_file() as file:
        if file.read(2) in {b"\xff\xfe", b"\xfe\xff"}:
            raise TableError(f"{name} is UTF-16; save it as UTF-8")
    if file_format == "openai-batch":
        schema = batch_schema(open_file)
        rows = batch_rows(open_file, schema)
    elif file_format == "a1111":
        schema, rows = SCHEMA, a1111_rows(open_file)
    elif file_format == "jsonl":
        schema = learn_schema(open_file, prompt_column, name)
        rows = jsonl_rows(open_file, schema, map_columns(schema.names, prompt_column).parts["prompt"])
    elif file_format in CAPTION_FILES:
        schema = pa.schema(dict.fromkeys(("id", "prompt", "image"), TEXT))
        rows = caption_rows(open_file, file_format, name)
    elif file_format == "text":
        schema = pa.schema({"prompt": TEXT})
        rows = text_rows(open_file)
    elif file_format == "paragraphs":
        schema = pa.schema({"prompt": TEXT})
        rows = paragraph_rows(open_file)
    else:
        header, rows = delimited_rows(open_file, file_format, name)
        schema = pa.schema([(column, TEXT) for column in header])
    write_rows(rows, schema.append(pa.field(INVALID, TEXT)), target)


def told_format(open_file: Callable[[], Any], by_name: str, prompt_column: str | None) -> str:
    """The format that the content tells, where the file's name tells no more than JSON lines or text."""
    if by_name == "jsonl" and prompt_column is None and is_batch(open_file):
        return "openai-batch"
    if by_name == "text" and is_a1111(open_file):
        return "a1111"
    return by_name


def write_rows(rows: Iterator[Row], schema: pa.Schema, target: str) -> None:
    with pq.ParquetWriter(target, schema) as writer:
        batch: list[Row] = []
        for row in rows:
            batch.append(row)
            if len(batch) == BATCH:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
                batch = []
        if batch:
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))


def text_rows(open_file: Callable[[], Any]) -> Iterator[Row]:
    with open_file() as file:
        for line in lines(file):
            text, problem = decode(line)
            yield {"prompt": None if problem else text, INVALID: problem}


def paragraph_rows(open_file: Callable[[], Any]) -> Iterator[Row]:
    """One row for the lines between blank ones, joined by spaces: a story's scenes."""
    with open_file() as file:
        words: list[str] = []
        length, problem = 0, None
        for line in lines(file):
            text, wrong = decode(line)
            problem = problem or wrong
            if text.strip():
                length += len(text)
                words.append(text.strip())
                if length > MAX_PARAGRAPH:
                    words.clear()
                    problem = f"the paragraph is longer than {MAX_PARAGRAPH:,} characters; part it by blank lines"
            elif wrong is None and (words or problem):
                yield {"prompt": None if problem else " ".join(words), INVALID: problem}
                words, length, problem = [], 0, None
        if words or problem:
            yield {"prompt": None if problem else " ".join(words), INVALID: problem}


def caption_rows(open_file: Callable[[], Any], file_format: str, name: str) -> Iterator[Row]:
    """`image` is the captioned picture's file name or URL, and passes through to the manifest."""
    with open_file() as file:
        try:
            for found in CAPTION_FILES[file_format](file):
                caption = None if found.caption is None else storable(found.caption)
                image = None if found.image is None else storable(found.image)
                yield {"id": storable(found.id), "prompt": caption, "image": image, INVALID: found.problem}
        except NotACaptionFile as error:
            raise TableError(f"{name}: {error}") from error


def delimited_rows(open_file: Callable[[], Any], file_format: str, name: str) -> tuple[list[str], Iterator[Row]]:
    """The header's names and an iterator over the rows, every value a string."""
    rows = csv_values(open_file) if file_format == "csv" else tsv_values(open_file)
    header, problem = next(rows, (None, None))
    if header is None:
        raise EmptyTable(f"{name} is empty; write a header line and at least one row")
    if problem or not any(header):
        raise TableError(f"{name} has no header line ({problem or 'it is blank'}); name the columns in its first line")
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice or INVALID in header:
        raise TableError(f"{name} names the column {(twice or [INVALID])[0]!r} twice or as its own; rename it")
    return header, (delimited_row(header, values, problem) for values, problem in rows)


def delimited_row(header: list[str], values: list[str], problem: str | None) -> Row:
    blank = not values or values == [""]
    if problem is None and not blank and len(values) != len(header):
        problem = f"the line has {len(values)} fields, the header has {len(header)}; correct the line"
    if problem is not None or blank:
        return {INVALID: problem}
    return dict(zip(header, values, strict=True))


def tsv_values(open_file: Callable[[], Any]) -> Iterator[tuple[list[str], str | None]]:
    """Fields between tabs; a quotation mark means itself."""
    with open_file() as file:
        for line in lines(file):
            text, problem = decode(line)
            yield text.split("\t"), problem


def delimiter_of(header: bytes) -> str:
    """What parts the columns, by the header: a comma, where there is one; else what spreadsheets write elsewhere."""
    found = max(DELIMITERS, key=lambda mark: header.count(mark.encode()))
    return found if b"," not in header and found.encode() in header else ","


def csv_values(open_file: Callable[[], Any]) -> Iterator[tuple[list[str], str | None]]:
    csv.field_size_limit(MAX_FIELD)
    with open_file() as file:
        delimiter = delimiter_of(next(lines(file), b""))
    with open_file() as file:
        # A byte that is not UTF-8 becomes a lone surrogate, so that only the row that has it is refused.
        texts = (line.decode("utf-8", "surrogateescape") for line in lines(file))
        reader = csv.reader(texts, delimiter=delimiter)
        while True:
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield [], f"the line is not CSV ({error}); check its quotation marks"
                continue
            if any(storable(value) != value for value in values if not value.isascii()):
                yield [], "the line is not UTF-8; save the file as UTF-8"
            else:
                yield values, None


def learn_schema(open_file: Callable[[], Any], prompt_column: str | None, name: str) -> pa.Schema:
    """One type for each key: that of its values, or text (JSON for what is no string) where they differ."""
    kinds: dict[str, set[str]] = {}
    with open_file() as file:
        for line in lines(file):
            for key, value in parse_object(line)[0].items():
                kinds.setdefault(storable(key), set()).add(kind(value))
    if not kinds:  # not one object: every line fails for its own reason
        kinds[prompt_column or "prompt"] = set()
    if len(kinds) > MAX_COLUMNS:
        raise TableError(f"{name} has {len(kinds):,} different keys, at most {MAX_COLUMNS:,} are taken; use fewer")
    if INVALID in kinds:
        raise TableError(f"{name} has a key {INVALID!r}, which is kept for another use; rename it")
    types: dict[str, pa.DataType] = {}
    for key, found in kinds.items():
        found.discard("null")
        if found == {"bool"}:
            types[key] = pa.bool_()
        elif found == {"int"}:
            types[key] = pa.int64()
        elif found and found <= {"int", "float"}:
            types[key] = pa.float64()
        else:
            types[key] = TEXT
    return pa.schema(types)


def kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**53) <= value <= 2**53:
        return "big"  # exact neither as int64 nor as float64; kept as text
    return type(value).__name__


def jsonl_rows(open_file: Callable[[], Any], schema: pa.Schema, prompt: str) -> Iterator[Row]:
    with open_file() as file:
        for line in lines(file):
            values, problem = parse_object(line)
            row: Row = {
                storable(key): as_type(value, schema.field(storable(key)).type) for key, value in values.items()
            }
            given = values.get(prompt)
            if given is not None and not isinstance(given, str):
                problem = f"prompt must be text, got {type(given).__name__} {given!r:.80}; put it in quotation marks"
                row[prompt] = None
            elif given is not None and storable(given) != given:
                problem = "prompt has half of a surrogate pair, which is no character; remove it"
            yield {**row, INVALID: problem}


def as_type(value: object, wanted: pa.DataType) -> object:
    if value is None:
        return None
    if pa.types.is_float64(wanted):
        return float(value)  # type: ignore[arg-type]
    if wanted == TEXT:
        return storable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return value
