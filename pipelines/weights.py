"""From a model's name to where workers get it: `imagen_model` knows names and folders, here URLs join them.

The driver fetches the model once to learn its revision and what it takes. A worker is sent the URL and each
file's size and SHA-256, and fetches the model only where its node's cache does not hold it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from imagen_model.catalog import (
    ModelNotFound,
    find_model,
    loadable,
    model_in,
    revision_of,
)
from imagen_model.fetching import files_to_fetch, relevant_files
from imagen_model.generation import Generator, RequestRules
from imagen_model.open_models.options import NO_OPTIONS, ModelOptions

from .errors import InvalidJob, PipelineError, WeightsError
from .model_cache import ModelCache, ModelFile, sha256_of
from .remote_tables import filesystem_of, read_meaning
from .stage import Source
from .store_errors import FIRST_PATIENCE, PATIENCE, patiently

T = TypeVar("T")
PIECE = 8 * 2**20  # bytes of one read
STREAMS = 4  # reads at once, so that at most 32 MiB are in memory
# What tells an object's versions apart, as file systems call it.
VERSIONS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated", "mtime", "created")


def find_source(name: str, options: ModelOptions = NO_OPTIONS) -> Source:
    """Args:
        name: as `imagen_model.catalog.find_model` takes it, or a URL (`s3://bucket/models/imagen-small`).
        options: of diffusers models.

    Raises:
        ModelNotFound: there is no such model, or it does not take the options.
        WeightsError: the URL cannot be read, or the cache not written.
    """
    return find_remote(name, options) if "://" in name else find_model(name, options)


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model at a URL, pinned by the content of its files. The other fields are as in `ModelSource`."""

    url: str
    name: str
    revision: str
    rules: RequestRules
    files: tuple[ModelFile, ...]
    options: ModelOptions = NO_OPTIONS

    def load(self, batch_size: int | None = None, device: str = "auto") -> Generator:
        """The model in memory; its files are fetched first where this node does not have them.

        Raises:
            WeightsError: they cannot be fetched, or are not those that the driver saw.
        """
        return loadable(self.folder(), self.name, self.revision, self.rules, self.options).load(batch_size, device)

    def folder(self) -> Path:
        """Where this node has the model. Raises as `load`."""
        cache = ModelCache()
        if not cache.holds(self.files):
            with cache.filling() as part:
                if not cache.holds(self.files):  # another worker may have fetched them meanwhile
                    self.fetch(part)
                    cache.keep(part, self.files)
        return cache.folder(self.files)

    def fetch(self, part: Path) -> None:
        try:
            bucket = Bucket(self.url)
            listed = bucket.list()
        except ModelNotFound as error:
            raise WeightsError(f"{error}; it was there when the run began") from error
        for file in self.files:
            if file.name not in listed:
                raise WeightsError(f"{self.url}/{file.name} is gone since the run began; put it back")
            found = bucket.fetch(file.name, listed[file.name].size, part)
            if found != file:
                raise WeightsError(
                    f"{self.url}/{file.name} has changed since the run began: sha256 {file.sha256[:16]} then, "
                    f"{found.sha256[:16]} now; put the old file back, or begin a new output with the new one"
                )


def find_remote(url: str, options: ModelOptions = NO_OPTIONS) -> RemoteModel:
    """The model at the URL, in this node's cache when this returns. Raises as `find_source`."""
    if not url.partition("://")[2].strip("/"):
        raise ModelNotFound(f"no model at {url}: it names no folder; give one like s3://bucket/models/imagen-small")
    url = url.rstrip("/")
    bucket, cache = Bucket(url), ModelCache()
    found = bucket.list()
    listed = {name: found[name] for name in relevant_files(found)}
    listing = json.dumps([url, {name: [item.size, item.version] for name, item in listed.items()}], sort_keys=True)
    files = cache.recall(listing)
    if files is None:
        with cache.filling() as part:
            files = cache.recall(listing) or fetch_first(bucket, listed, listing, cache, part, options)
    revision = revision_of({file.name: bytes.fromhex(file.sha256) for file in files})
    name = url.rpartition("/")[2]
    model = model_in(cache.folder(files), name, revision, url, options)
    return RemoteModel(url, name, model.revision, model.rules, files, options)


def fetch_first(
    bucket: Bucket,
    listed: Mapping[str, Listed],
    listing: str,
    cache: ModelCache,
    part: Path,
    options: ModelOptions,
) -> tuple[ModelFile, ...]:
    """Fetch what the bucket holds; nothing says yet what it ought to be."""

    def fetch(name: str) -> ModelFile:
        return bucket.fetch(name, listed[name].size, part)

    wanted = files_to_fetch(listed, fetch, part, bucket.url, options)
    files = tuple(map(fetch, wanted))
    again = bucket.list()
    if {name: again[name] for name in relevant_files(again)} != dict(listed):
        raise WeightsError(f"{bucket.url} changed while it was fetched; run the same command when it is written")
    cache.keep(part, files)
    if all(item.version for item in listed.values()):
        cache.remember(listing, files)
    return files


@dataclass(frozen=True, slots=True)
class Listed:
    """An object's size in bytes, and what tells its versions apart (None where the file system does not say)."""

    size: int
    version: str | None


class Bucket:
    """The files of a model below a URL, through fsspec; credentials come from the environment's usual chain."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answered = False
        self.filesystem: Any
        try:
            self.filesystem, self.base = filesystem_of(url)
        except (ValueError, InvalidJob) as error:
            raise ModelNotFound(f"no model at {url}: {error}") from error

    def list(self) -> dict[str, Listed]:
        """All files by name, in order. Raises WeightsError, ModelNotFound."""
        try:
            found = self.retried(lambda: self.filesystem.find(self.base, detail=True))
        except FileNotFoundError:
            found = {}
        if not found:
            raise ModelNotFound(f"no model at {self.url}: nothing is there; check the URL")
        files: dict[str, Listed] = {}
        for path, info in sorted(found.items()):
            name = path[len(self.base) :].lstrip("/")
            if name and ".." not in PurePosixPath(name).parts:
                version = next((info[field] for field in VERSIONS if info.get(field)), None)
                files[name] = Listed(int(info["size"]), None if version is None else str(version))
        return files

    def fetch(self, name: str, size: int, folder: Path) -> ModelFile:
        """Write the object into the folder, piece by piece, durably, and say what came."""
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file, ThreadPoolExecutor(STREAMS) as threads:

            def copy(start: int) -> None:
                os.pwrite(file.fileno(), self.read(name, start, min(start + PIECE, size)), start)

            for _ in threads.map(copy, range(0, size, PIECE)):
                pass
            os.fsync(file.fileno())
        return ModelFile(name, target.stat().st_size, sha256_of(target))

    def read(self, name: str, start: int, stop: int) -> bytes:
        try:
            path = f"{self.base}/{name}"
            data: bytes = self.retried(lambda: self.filesystem.cat_file(path, start=start, end=stop))
        except FileNotFoundError as error:
            raise WeightsError(f"{self.url}/{name} went while it was fetched; put it back") from error
        if len(data) != stop - start:
            raise WeightsError(f"{self.url}/{name} changed while it was fetched; run the same command again")
        return data

    def retried(self, action: Callable[[], T]) -> T:
        """A server that has answered before is waited for through minutes of silence."""
        try:
            result = patiently(action, self.url, PATIENCE if self.answered else FIRST_PATIENCE, read_meaning)
        except FileNotFoundError:
            raise
        except (PipelineError, OSError) as error:
            raise WeightsError(
                f"the model at {self.url} cannot be read ({error}); check the URL, credentials and network"
            ) from error
        self.answered = True
        return result
