"""The stage that a Ray worker runs: one shard's rows in, its files and one small record out.

Ray hands a worker two shards at a time, in two threads. One thread of its own holds the model and makes all
images, so that shards pass through it one after another: while one shard's last files are written and its
manifest committed, the next one's images are already being made, and nothing runs in parallel on the device.
"""

from __future__ import annotations

import json
import os
import socket
import time
import traceback
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

import pyarrow as pa

from imagen_model.generation import ErrorCode, Failure, Generator, RequestRules, Result
from imagen_model.notes import NoteTaking

from .attempts import MAX_DEATHS, Attempts
from .content_credentials import open_credentials
from .credential_files import CredentialFiles
from .encoding import Encoder
from .errors import PipelineError
from .formats import ShardWriter, output_format
from .generating import generate
from .grouping import batches_of
from .manifest import FAILED, SUCCESS, Entry, read_footer, read_manifest, write_shard
from .passes import Pass
from .publisher import Published, Publisher
from .settled_rows import SettledRows
from .shard_reader import SHARD
from .storage import open_store
from .work import Item, Recipe, items_of, storable_passed

RECORD_SCHEMA = pa.schema([("shard", pa.int64()), ("record", pa.string())])


class Source(Protocol):
    """Where a worker gets its model, sent to it by pickle; `imagen_model.catalog.ModelSource` is one."""

    @property
    def name(self) -> str: ...
    @property
    def revision(self) -> str: ...
    @property
    def rules(self) -> RequestRules: ...
    def load(self, batch_size: int | None = None, device: str = "auto") -> Generator: ...


@dataclass(slots=True)
class Record:
    """All that the driver hears of a shard.

    Args:
        images, failed: entries made (a retry keeps others), and how many of them are failures.
        codes: failures by error code.
        seconds: by part, as `Pass.seconds`.
        worker, gpus: host and process; which GPUs of the host Ray gave it, "" for none.
        begun_at: Unix time at which this worker's first micro-batch went to the model.
        first_image_at: Unix time at which it was done.
        skipped: the run was being stopped; the shard is untouched.
        fatal: why the job must stop; the shard is not committed.
    """

    shard: int
    images: int = 0
    failed: int = 0
    bytes: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    worker: str = ""
    gpus: str = ""
    begun_at: float = 0.0
    first_image_at: float = 0.0
    skipped: bool = False
    fatal: str | None = None
    fatal_kind: str = ""

    def to_table(self) -> pa.Table:
        return pa.Table.from_pylist([{"shard": self.shard, "record": json.dumps(asdict(self))}], schema=RECORD_SCHEMA)


@dataclass(frozen=True, slots=True)
class StageConfig:
    """What every worker of a run is given.

    Args:
        retry_codes: None to make shards; else the error codes ("" in it: all) whose rows are made again.
        credential_files: by which pictures are signed; their paths, for a key is sent nowhere.
        stop_key: an object whose existence means that no further shard may begin.
    """

    output: str
    run_id: str
    recipe: Recipe
    batch_size: int | None
    device: str
    stop_key: str
    retry_codes: frozenset[str] | None = None
    credential_files: CredentialFiles | None = None


class Stage:
    """Called with one shard's rows; never raises, for Ray would only repeat or hide it: see `Record.fatal`."""

    def __init__(self, source: Source, config: StageConfig) -> None:
        self.config = config
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        self.fatal: tuple[str, str] | None = None
        self.begun_at = self.first_image_at = 0.0
        self.load_seconds = self.warm_up_seconds = 0.0
        self.model_thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        try:
            settings = config.recipe.settings
            self.layout = output_format(config.recipe.output_format)
            self.store = open_store(config.output, answered=True)
            encoder = Encoder(settings.image_format, settings.quality)
            credentials = open_credentials(
                config.credential_files, settings.model, settings.model_revision, settings.credentials
            )
            self.publisher = Publisher(self.store, config.recipe, encoder, self.worker, credentials)
            self.generator = self.model_thread.submit(self.load, source).result()
        except Exception as error:
            self.fatal = describe(error, "a worker could not start")

    def load(self, source: Source) -> Generator:
        begun = time.perf_counter()
        generator = source.load(self.config.batch_size, self.config.device)
        self.warm_up_seconds = round(getattr(generator, "warm_up_seconds", 0.0), 4)  # of those that compile
        self.load_seconds = round(time.perf_counter() - begun - self.warm_up_seconds, 4)
        if isinstance(generator, NoteTaking):
            generator.keep_notes(SettledRows(self.store))
        return generator

    def __call__(self, table: pa.Table) -> pa.Table:
        record = Record(table.column(SHARD)[0].as_py(), worker=self.worker)
        try:
            if self.fatal is not None:
                record.fatal_kind, record.fatal = self.fatal
            else:
                self.run_shard(table, record)
        except Exception as error:
            record.fatal_kind, record.fatal = describe(error, f"shard {record.shard} could not be finished")
        return record.to_table()

    def run_shard(self, table: pa.Table, record: Record) -> None:
        items, refused = items_of(table, record.shard, self.config.recipe, self.worker)
        kept: list[Entry] = []
        passes = [Pass(self.config.run_id, self.worker, seconds=record.seconds)]  # the driver hears what is stored
        if self.config.retry_codes is not None:
            before = read_manifest(self.store, record.shard).to_pylist()
            items, refused, kept = select_failed(before, items, refused, self.config.retry_codes)
            passes = [*read_footer(self.store, record.shard).passes, *passes]
        groups: list[Future[Published]] = []
        with closing(self.layout.begin(self.store, record.shard, self.config.recipe.schema)) as writer:
            attempts = Attempts(self.store, record.shard, self.config.run_id)
            job = (record, passes[-1], writer, attempts, items, groups)
            if not self.model_thread.submit(self.make_images, *job).result():
                record.skipped = True
                return
            published = [group.result() for group in groups]
            record.seconds |= {
                "encode": round(sum(group.encode for group in published), 4),
                "store": round(sum(group.store for group in published), 4),
            }
            made = [*refused, *(entry for group in published for entry in group.entries)]
            self.commit(record, passes, writer, made, kept, attempts)

    def make_images(
        self,
        record: Record,
        spent: Pass,
        writer: ShardWriter,
        attempts: Attempts,
        items: Sequence[Item],
        groups: list[Future[Published]],
    ) -> bool:
        """Runs in the model's thread. Adds the groups being published; False if the run is being stopped."""
        if self.store.exists(self.config.stop_key):
            return False
        journal = attempts.begin()
        begun, generating = time.perf_counter(), 0.0
        spent.begun = time.time()
        for batch in micro_batches(items, {*journal.suspects, *journal.condemned}, self.generator):
            condemned = journal.given_up or (len(batch) == 1 and batch[0].row in journal.condemned)
            attempts.running([item.row for item in batch])
            self.begun_at = self.begun_at or time.time()
            if condemned:
                message = death_message(journal.lone_deaths.get(batch[0].row, 0))
                results: list[Result] = [Failure(ErrorCode.WORKER_DIED, message) for _ in batch]
            else:
                since = time.perf_counter()
                results = generate(self.generator, [item.request for item in batch])
                generating += time.perf_counter() - since
            self.first_image_at = self.first_image_at or time.time()
            futures = self.publisher.submit(record.shard, writer, batch, results)
            groups += futures
            if journal.attempt > 1:  # after a death, whatever a row does must happen while it is written down
                for future in futures:
                    future.result()
                attempts.survived([item.row for item in batch])
            if self.publisher.broken is not None:  # a full disk must stop the model at once
                raise self.publisher.broken
        waited = time.perf_counter() - begun - generating
        spent.made = time.time()
        record.seconds |= {"generate": round(generating, 4), "wait": round(waited, 4), "load": self.load_seconds}
        if self.warm_up_seconds:
            record.seconds["warm_up"] = self.warm_up_seconds
        self.load_seconds = self.warm_up_seconds = 0.0
        record.begun_at, record.first_image_at = self.begun_at, self.first_image_at
        return True

    def commit(
        self,
        record: Record,
        passes: list[Pass],
        writer: ShardWriter,
        made: list[Entry],
        kept: list[Entry],
        attempts: Attempts,
    ) -> None:
        schema = self.config.recipe.schema
        whole = [*kept, *storable_passed(made, schema)]
        passes[-1].images = record.images = len(made)
        passes[-1].failed = sum(entry["status"] == FAILED for entry in made)
        write_shard(self.store, writer, record.shard, whole, schema, passes)
        if attempts.interrupted:
            self.remove_strays(record.shard, whole)
        attempts.end()
        for entry in made:
            record.bytes += entry.get("bytes") or 0
            if entry["status"] != SUCCESS:
                record.failed += entry["status"] == FAILED
                record.codes[entry["error_code"]] = record.codes.get(entry["error_code"], 0) + 1

    def remove_strays(self, shard: int, entries: Sequence[Entry]) -> None:
        """An attempt that was cut short may have stored an image that this one could not make."""
        known = self.layout.expected(shard, entries)
        for key in list(self.layout.objects(self.store, shard)):
            if key not in known:
                self.store.delete(key)


def micro_batches(items: Sequence[Item], suspects: Collection[int], generator: Generator) -> list[Sequence[Item]]:
    """Suspect rows first and each image alone, then the others in full batches of those that can share a run."""
    alone = [item for item in items if item.row in suspects]
    others = [item for item in items if item.row not in suspects] if alone else items
    return [*([item] for item in alone), *batches_of(generator, others)]


def death_message(deaths: int) -> str:
    if deaths:
        return f"the worker died {deaths} times with this row alone in work; change the row, or run retry"
    return f"workers died {MAX_DEATHS} times in this row's shard; its unfinished rows were given up; run retry"


def select_failed(
    before: Sequence[Entry], items: Sequence[Item], refused: Sequence[Entry], codes: frozenset[str]
) -> tuple[list[Item], list[Entry], list[Entry]]:
    """What a retry makes again, the refusals it repeats, and the stored entries that it keeps as they are.

    Args:
        before: the stored entries.
        codes: of the rows to make again; "" among them means all that failed, but not those that were filtered.
    """
    again = {
        (entry["row"], entry["image_index"]): entry["attempts"] + 1
        for entry in before
        if (entry["status"] == FAILED and "" in codes) or entry["error_code"] in codes
    }
    # One entry stands for all images of a row whose picture could not be read.
    unread = {entry["row"] for entry in before if entry["error_code"] == ErrorCode.INVALID_IMAGE}
    again |= {
        (item.row, item.image_index): again[item.row, 0]
        for item in items
        if item.row in unread and (item.row, 0) in again
    }
    kept = [entry for entry in before if (entry["row"], entry["image_index"]) not in again]
    chosen = [
        replace(item, attempts=again[item.row, item.image_index])
        for item in items
        if (item.row, item.image_index) in again
    ]
    repeated = [entry | {"attempts": again[entry["row"], 0]} for entry in refused if (entry["row"], 0) in again]
    return chosen, repeated, kept


def describe(error: Exception, what: str) -> tuple[str, str]:
    """Kind and text of an error that stops the job; the traceback only where the error is not one of ours."""
    if isinstance(error, PipelineError):
        return type(error).__name__, str(error)
    detail = "".join(traceback.format_exception(error)[-3:]).strip()
    return "WorkersFailed", f"{what}: {type(error).__name__}: {error}\n{detail}"
