"""One output root behind one small interface, on a disk or in any object store that fsspec knows.

Objects appear whole or not at all. On a disk that is a temporary file under `.run/tmp`, fsync and rename;
keeping all temporary files in one folder lets the next run sweep what a killed one left. Object stores are in
`s3_store.py` and `object_store.py`. Every error is turned into the tree of `errors.py`: what hits the whole
store (full, denied) must stop a job, what hits one object is tried again and then raised as `StoreUnavailable`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .errors import StoreUnavailable
from .store_errors import translated, with_retries

TEMPORARY = ".run/tmp"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's key relative to the root, and its size in bytes."""

    key: str
    size: int


class Store(Protocol):
    """Objects under one root. Keys use `/` and are relative to the root.

    Attributes:
        url: the root as given.
        threads: how many uploads at once use it well.
    """

    url: str
    threads: int

    def put(self, key: str, data: bytes, durable: bool = True) -> None:
        """Write or replace the whole object.

        Args:
            durable: the bytes survive a power cut when the call returns. False leaves that to `flush`, which
                is much faster for many objects.
        """
        ...

    def put_file(self, key: str, path: Path) -> None:
        """Like `put`, from a local file of any size."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write the object if there is none of that key; False if there is.

        Over a network it may be the caller's own: where an answer was lost, the next try finds what the first wrote.
        """
        ...

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises FileNotFoundError."""
        ...

    def local_copy(self, key: str) -> AbstractContextManager[Path]:
        """A file on this machine with the object's bytes, for objects too large for memory; read it only.

        Raises FileNotFoundError.
        """
        ...

    def exists(self, key: str) -> bool: ...

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every object below the folder `prefix` ("" for all), in order of the keys."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; no error if there is none."""
        ...

    def flush(self, prefix: str) -> None:
        """Make the objects directly in `prefix` durable, their names included."""
        ...

    def sweep(self) -> None:
        """Remove what interrupted writes left behind."""
        ...

    def child_url(self, key: str) -> str:
        """The URL or path at which other libraries find the object."""
        ...


def open_store(url: str, answered: bool = False) -> Store:
    """The store at a folder's path or an fsspec URL (`s3://bucket/run`). Touches nothing.

    Args:
        answered: the store is known to be there, so that a silent network is waited for from the first request on.

    Raises:
        InvalidJob: the URL is none, or its libraries are missing.
    """
    if url.startswith("s3://"):
        from .s3_store import S3Store

        return S3Store(url, answered)
    if "://" in url and not url.startswith("file://"):
        from .object_store import ObjectStore

        return ObjectStore(url, answered)
    return LocalStore(url.removeprefix("file://"))


def check_writable(store: Store) -> None:
    """Write, read and remove one small object.

    Raises:
        StoreError: the output cannot be written; the message says why.
    """
    key = f"{TEMPORARY}/probe-{uuid.uuid4().hex}"
    store.put(key, b"probe")
    if store.read(key) != b"probe":
        raise StoreUnavailable(f"{store.url} does not give back what was written; check the storage")
    store.delete(key)


def write_file(path: Path, data: bytes, durable: bool) -> None:
    with path.open("xb", buffering=0) as file:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
        if durable:
            os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Everything in the folder reaches the disk: on Linux by one call for its file system, else file by file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if sync is None:
            for path in folder.iterdir():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            os.fsync(descriptor)
        elif sync(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


class LocalStore:
    """A folder on a disk."""

    threads = 2

    def __init__(self, root: str) -> None:
        self.url = root
        self.root = Path(root).expanduser().absolute()
        self.made: set[Path] = set()

    def put(self, key: str, data: bytes, durable: bool = True) -> None:
        with_retries(lambda: self.put_once(key, data, durable), self.url, missing_is_final=False)

    def put_once(self, key: str, data: bytes, durable: bool) -> None:
        target = self.root / key
        temporary = self.temporary_path()
        try:
            write_file(temporary, data, durable)
            self.make_folder(target.parent)
            temporary.replace(target)
        except BaseException as error:
            if isinstance(error, FileNotFoundError):
                self.made.clear()  # another run's sweep took the folder away
            temporary.unlink(missing_ok=True)
            raise

    def put_file(self, key: str, path: Path) -> None:
        with translated(self.url):
            self.made.clear()
            temporary = self.temporary_path()
            shutil.copyfile(path, temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            self.make_folder((self.root / key).parent)
            temporary.replace(self.root / key)

    def create(self, key: str, data: bytes) -> bool:
        target = self.root / key
        with translated(self.url):
            self.made.clear()
            self.make_folder(target.parent)
            temporary = self.temporary_path()
            write_file(temporary, data, durable=True)
            try:
                os.link(temporary, target)  # fails if the name is taken, and the file appears whole
            except FileExistsError:
                return False
            finally:
                temporary.unlink(missing_ok=True)
        return True

    def read(self, key: str) -> bytes:
        with translated(self.url):
            return (self.root / key).read_bytes()

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        with translated(self.url):
            (self.root / key).stat()
        yield self.root / key

    def exists(self, key: str) -> bool:
        return (self.root / key).exists()

    def list(self, prefix: str) -> Iterator[StoredObject]:
        with translated(self.url):
            yield from self.walk(self.root / prefix)

    def walk(self, folder: Path) -> Iterator[StoredObject]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from self.walk(Path(entry.path))
            else:
                try:
                    size = entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:  # a writer at work has put it in its place, or away, meanwhile
                    continue
                yield StoredObject(Path(entry.path).relative_to(self.root).as_posix(), size)

    def delete(self, key: str) -> None:
        with translated(self.url):
            (self.root / key).unlink(missing_ok=True)

    def flush(self, prefix: str) -> None:
        with translated(self.url):
            if (self.root / prefix).exists():
                sync_folder(self.root / prefix)

    def sweep(self) -> None:
        shutil.rmtree(self.root / TEMPORARY, ignore_errors=True)
        self.made.clear()

    def child_url(self, key: str) -> str:
        return str(self.root / key)

    def temporary_path(self) -> Path:
        folder = self.root / TEMPORARY
        self.make_folder(folder)
        return folder / uuid.uuid4().hex

    def make_folder(self, folder: Path) -> None:
        if folder not in self.made:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except FileNotFoundError as error:
                if self.root.exists():
                    raise  # another run's sweep came between
                # As in /proc: no folder can be made there, and no other try will help.
                raise NotADirectoryError(errno.ENOTDIR, "no folder can be made there", str(self.root)) from error
            self.made.add(folder)
