"""`imagegen expand`: templates become a prompt table, the same bytes for the same templates, seed and limits."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import uuid
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from imagen_model.generation import MAX_SEED

from .errors import InvalidJob, NoPromptColumn, TableError
from .expansion import Expansion
from .job import between
from .prompt_table import PromptTable, open_table
from .storage import LocalStore, Store, open_store
from .store_errors import translated
from .table_files import FORMATS, TableFiles
from .templates import Expander

STDIN = "-"
MOST_ROWS = 10**9
BATCH = 16_384  # rows of a row group
FIRST_LINES = {"text": 1, "jsonl": 1, "a1111": 1, "openai-batch": 1, "tsv": 2}  # where a row is a line


@dataclass(frozen=True, slots=True)
class ExpansionJob:
    """Args:
        templates: path or URL of a table of templates as `TableFiles` takes it, or "-" for standard input.
        output: path or URL of the Parquet file.
        max_rows: at most so many prompts, 1 to a billion.
        per_template: at most so many of each template.
        mode, seed, wildcards: as `Expander` takes them.
        template_column: None for `template`, or what a prompt column may be called.
        input_format: as `TableFiles` takes it.
        overwrite: replace an output that holds other bytes.

    Raises:
        InvalidJob: a limit is out of range.
    """

    templates: str
    output: str
    max_rows: int
    per_template: int | None = None
    mode: str = "combinatorial"
    seed: int = 0
    wildcards: str | None = None
    template_column: str | None = None
    input_format: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        between("max_rows", self.max_rows, 1, MOST_ROWS)
        between("per_template", self.per_template or 1, 1, MOST_ROWS)
        between("seed", self.seed, 0, MAX_SEED)
        if not self.output.endswith((".parquet", ".pq")):
            raise InvalidJob(f"{self.output} will be a Parquet file; give a name that ends in .parquet")


@dataclass(frozen=True, slots=True)
class Expanded:
    """Args:
    templates: that were read; blank lines and comments are none.
    rows: prompts written.
    cut: number (from 1) of the first template that has more prompts, or has none yet, because of the limits.
    written: False where the output was there with the same bytes.
    """

    output: str
    templates: int
    rows: int
    cut: int | None
    written: bool


def expand(job: ExpansionJob) -> Expanded:
    """Raises:
    InvalidJob, TableError: nothing is written.
    StoreError: the output cannot be written.
    """
    expander = Expander(job.mode, job.seed, job.wildcards)
    with tempfile.TemporaryDirectory(prefix="imagegen-") as temporary:
        folder = Path(temporary)
        source = standard_input(folder, job.input_format) if job.templates == STDIN else job.templates
        files = TableFiles(source, job.input_format)
        table = open_templates(files, job.template_column, LocalStore(temporary))
        expansion = Expansion(table, expander, job.max_rows, job.per_template, FIRST_LINES.get(files.format))
        target = folder / "prompts.parquet"
        write(expansion, target, job.templates)
        written = place(target, job.output, job.overwrite)
    return Expanded(job.output, expansion.read, expansion.made, expansion.cut, written)


def write(expansion: Expansion, target: Path, templates: str) -> None:
    rows = expansion.rows()
    with pq.ParquetWriter(target, expansion.schema, compression="zstd") as writer:
        while batch := list(islice(rows, BATCH)):
            try:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=expansion.schema))
            except pa.ArrowException as error:
                message = f"{templates}: a column cannot be written ({error}); write it as UTF-8"
                raise TableError(message) from None


def open_templates(files: TableFiles, column: str | None, store: Store) -> PromptTable:
    if column is None:
        with suppress(NoPromptColumn):
            return open_table(files, "template", store)
    return open_table(files, column, store)


def standard_input(folder: Path, input_format: str | None) -> str:
    """What comes on standard input as a file, of text unless another format is given."""
    endings = {known: ending for ending, known in FORMATS.items()}
    path = folder / f"stdin{endings.get(input_format or 'text', '.txt')}"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return str(path)


def place(source: Path, output: str, overwrite: bool) -> bool:
    """Put the finished file where it is wanted, in one step; False where it is there already.

    Raises:
        InvalidJob: another file is there.
    """
    folder, _, name = output.removeprefix("file://").rpartition("/")
    store = open_store(folder or ("/" if output.startswith("/") else "."))
    if store.exists(name):
        with store.local_copy(name) as there:
            if there.read_bytes() == source.read_bytes():
                return False
        if not overwrite:
            raise InvalidJob(f"{output} is there with other content; give --overwrite or another name")
    if isinstance(store, LocalStore):
        with translated(store.url):
            put_beside(source, store.root / name)
    else:
        store.put_file(name, source)
    return True


def put_beside(source: Path, target: Path) -> None:
    """As a store's `put_file`, whose folder for unfinished files would stay in a folder that is the user's own."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        shutil.copyfile(source, unfinished)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
