"""Files and batches on a disk or in a bucket, so that they outlive every process of the server.

    files/ID.jsonl, files/ID.json        content, then its record: a file is there when its record is
    batches/ID.json                      a batch's record; the server writes it first, its worker from then on
    runs/ID/cancel                       somebody asked to cancel the batch; holds the Unix time
    runs/ID/prompts.parquet, dataset/    the batch as a table and as the batch job's own output

IDs begin with the time, so that a listing in order of names is one in order of creation.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from ...storage import Store
from ..errors import ApiError
from .schemas import Batch, FileObject, StoredBatch, StoredFile

FILES, BATCHES, RUNS = "files", "batches", "runs"
FILE_ID, BATCH_ID = re.compile(r"file-[0-9a-f]{32}"), re.compile(r"batch_[0-9a-f]{32}")
Record = TypeVar("Record", bound=BaseModel)


def new_id(prefix: str) -> str:
    """128 bits: 64 of nanoseconds, 64 of chance."""
    return f"{prefix}{time.time_ns():016x}{secrets.token_hex(8)}"


def derived_file_id(batch: str, role: str) -> str:
    """Of an output file of a batch: writing it again after a crash replaces it."""
    return f"file-{batch.removeprefix('batch_')[:16]}{hashlib.sha256(f'{batch} {role}'.encode()).hexdigest()[:16]}"


class BatchStore:
    """Blocks: call it from a thread. Whose a record is, every method that takes an `owner` checks."""

    def __init__(self, store: Store) -> None:
        self.store = store

    # Files

    def add_file(self, owner: str, path: Path, file: FileObject) -> None:
        self.store.put_file(content_key(file.id), path)
        self.write(f"{FILES}/{file.id}.json", StoredFile(owner=owner, file=file))

    def file(self, owner: str, file_id: str) -> FileObject:
        """Raises:
        ApiError: 404; there is none of that owner, or not any more.
        """
        found = self.read(f"{FILES}/{file_id}.json", StoredFile) if FILE_ID.fullmatch(file_id) else None
        if found is None or found.owner != owner or expired(found.file):
            raise ApiError(404, "file_not_found", f"there is no file {file_id!r:.80}, or not any more", "file_id")
        return found.file

    def files(self, owner: str) -> list[FileObject]:
        """Oldest first."""
        stored = self.records(FILES, StoredFile)
        return [found.file for found in stored if found.owner == owner and not expired(found.file)]

    def delete_file(self, file_id: str) -> None:
        """The record first: what is left of an interrupted deletion is swept."""
        self.store.delete(f"{FILES}/{file_id}.json")
        self.store.delete(content_key(file_id))

    def stored_bytes(self) -> int:
        return sum(found.size for found in self.store.list(FILES))

    # Batches

    def put_batch(self, stored: StoredBatch) -> None:
        self.write(f"{BATCHES}/{stored.batch.id}.json", stored)

    def stored_batch(self, batch_id: str) -> StoredBatch | None:
        return self.read(f"{BATCHES}/{batch_id}.json", StoredBatch) if BATCH_ID.fullmatch(batch_id) else None

    def batch(self, owner: str, batch_id: str) -> Batch:
        """As its owner sees it.

        Raises:
            ApiError: 404.
        """
        found = self.stored_batch(batch_id)
        if found is None or found.owner != owner:
            raise ApiError(404, "batch_not_found", f"there is no batch {batch_id!r:.80}", "batch_id")
        return self.shown(found.batch)

    def shown(self, batch: Batch) -> Batch:
        """With what was asked of it and its worker has not written yet."""
        if batch.status in ("validating", "in_progress"):
            asked = self.cancel_asked(batch.id)
            return batch if asked is None else batch.moved("cancelling", asked)
        return batch

    def batches(self, owner: str) -> list[Batch]:
        """Oldest first."""
        return [self.shown(found.batch) for found in self.stored_batches() if found.owner == owner]

    def stored_batches(self) -> list[StoredBatch]:
        return list(self.records(BATCHES, StoredBatch))

    def ask_cancel(self, batch_id: str) -> None:
        self.store.create(f"{RUNS}/{batch_id}/cancel", str(int(time.time())).encode())

    def cancel_asked(self, batch_id: str) -> int | None:
        try:
            return int(self.store.read(f"{RUNS}/{batch_id}/cancel"))
        except FileNotFoundError:
            return None

    # Upkeep

    def sweep_expired(self, keep_seconds: float) -> None:
        """Remove files that have expired, and what is older than `keep_seconds`: files, and finished batches with
        their runs."""
        now = time.time()
        for stored in self.stored_batches():
            if stored.batch.finished and stored.batch.created_at + keep_seconds < now:
                for found in list(self.store.list(f"{RUNS}/{stored.batch.id}")):
                    self.store.delete(found.key)
                self.store.delete(f"{BATCHES}/{stored.batch.id}.json")
        for record in self.records(FILES, StoredFile):
            if expired(record.file, now) or record.file.created_at + keep_seconds < now:
                self.delete_file(record.file.id)

    def sweep_orphans(self) -> None:
        """Remove contents without a record. Only while nothing is being uploaded."""
        keys = {found.key for found in self.store.list(FILES)}
        for key in keys:
            if key.endswith(".jsonl") and key.removesuffix("l") not in keys:
                self.store.delete(key)

    def write(self, key: str, record: BaseModel) -> None:
        self.store.put(key, record.model_dump_json().encode())

    def read(self, key: str, kind: type[Record]) -> Record | None:
        try:
            return kind.model_validate_json(self.store.read(key))
        except FileNotFoundError:
            return None

    def records(self, folder: str, kind: type[Record]) -> Iterator[Record]:
        for found in list(self.store.list(folder)):
            if found.key.endswith(".json") and (record := self.read(found.key, kind)) is not None:
                yield record


def content_key(file_id: str) -> str:
    return f"{FILES}/{file_id}.jsonl"


def expired(file: FileObject, now: float | None = None) -> bool:
    return file.expires_at is not None and file.expires_at <= (time.time() if now is None else now)
