"""Prefixes in object stores. An object appears whole by itself there: it is one PUT or one completed upload.

A server that has answered before is waited for through minutes of silence; one that never has is given up
within seconds, for then its address or the credentials are rather wrong. Credentials come from the environment's
usual chain alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from .storage import TEMPORARY, StoredObject
from .store_errors import FIRST_PATIENCE, PATIENCE, patiently, remote_meaning

T = TypeVar("T")


class ObjectStore:
    """A prefix in any object store that fsspec knows; for S3 there is `s3_store.S3Store`."""

    threads = 16

    def __init__(self, url: str, answered: bool = False) -> None:
        from fsspec.core import url_to_fs

        self.url = url.rstrip("/")
        self.answered = answered
        self.filesystem: Any
        self.filesystem, self.base = url_to_fs(self.url, use_listings_cache=False)

    def path(self, key: str) -> str:
        return f"{self.base}/{key}".rstrip("/")

    def call(self, action: Callable[[], T]) -> T:
        result = patiently(action, self.url, PATIENCE if self.answered else FIRST_PATIENCE, remote_meaning)
        self.answered = True
        return result

    def put(self, key: str, data: bytes, durable: bool = True) -> None:
        self.call(lambda: self.filesystem.pipe_file(self.path(key), data))

    def put_file(self, key: str, path: Path) -> None:
        self.call(lambda: self.filesystem.put_file(str(path), self.path(key)))

    def create(self, key: str, data: bytes) -> bool:
        try:
            self.call(lambda: self.filesystem.pipe_file(self.path(key), data, mode="create"))
        except FileExistsError:
            return False
        return True

    def read(self, key: str) -> bytes:
        data: bytes = self.call(lambda: self.filesystem.cat_file(self.path(key)))
        return data

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="imagegen-") as folder:
            copy = Path(folder) / "object"
            self.call(lambda: self.filesystem.get_file(self.path(key), str(copy)))
            yield copy

    def exists(self, key: str) -> bool:
        return bool(self.call(lambda: self.filesystem.exists(self.path(key))))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        found = self.call(lambda: self.filesystem.find(self.path(prefix), detail=True))
        for path in sorted(found):
            key = path[len(self.base) :].lstrip("/")
            if key and not path.endswith("/"):  # some writers leave a marker object for a folder
                yield StoredObject(key, int(found[path]["size"]))

    def delete(self, key: str) -> None:
        try:
            self.call(lambda: self.filesystem.rm_file(self.path(key)))
        except FileNotFoundError:
            return

    def flush(self, prefix: str) -> None:
        """A PUT is durable by itself."""

    def sweep(self) -> None:
        for found in list(self.list(TEMPORARY)):
            self.delete(found.key)

    def child_url(self, key: str) -> str:
        return f"{self.url}/{key}"
