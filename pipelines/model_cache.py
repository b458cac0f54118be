"""A node's cache of fetched models: one folder for each content, there whole or not at all.

A folder's name is a hash over its files, so that models which lie at two addresses but are the same share one,
and new weights never replace those that a running worker reads. One process of the node fills the cache at a
time, under a lock that the kernel frees when its holder dies; it fills a folder of its own and renames it when
every file is there and checked. What a killed one left is swept by the next.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from filelock import FileLock

from .errors import WeightsError

VARIABLE = "IMAGEGEN_CACHE"
PART = "part"  # the folder being filled


@dataclass(frozen=True, slots=True)
class ModelFile:
    """Args:
    name: in the model's folder, with `/`.
    size: bytes.
    sha256: of the content, hex.
    """

    name: str
    size: int
    sha256: str


def cache_folder() -> Path:
    """`$IMAGEGEN_CACHE`, else `imagegen` in the user's cache folder."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "imagegen"


class ModelCache:
    """The models of this node."""

    def __init__(self) -> None:
        self.root = cache_folder() / "models"

    def folder(self, files: Sequence[ModelFile]) -> Path:
        return self.root / hashlib.sha256(json.dumps([astuple(file) for file in files]).encode()).hexdigest()[:32]

    def holds(self, files: Sequence[ModelFile]) -> bool:
        """Whether every file is there with its size."""
        folder = self.folder(files)
        return all(size_of(folder / file.name) == file.size for file in files)

    def intact(self, files: Sequence[ModelFile]) -> bool:
        """Whether every file is there with its content."""
        folder = self.folder(files)
        return self.holds(files) and all(sha256_of(folder / file.name) == file.sha256 for file in files)

    @contextmanager
    def filling(self) -> Iterator[Path]:
        """An empty folder for what is being fetched, given to one process of the node at a time.

        Raises:
            WeightsError: the cache cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / "lock"):
                part = self.root / PART
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                try:
                    yield part
                finally:
                    shutil.rmtree(part, ignore_errors=True)
        except OSError as error:
            raise WeightsError(
                f"models cannot be kept in {self.root} ({error}); make room there, or set {VARIABLE} to another folder"
            ) from error

    def keep(self, part: Path, files: Sequence[ModelFile]) -> None:
        """Make the filled folder the one of these files; a damaged one gives way."""
        shutil.rmtree(self.folder(files), ignore_errors=True)
        part.replace(self.folder(files))

    def remember(self, listing: str, files: Sequence[ModelFile]) -> None:
        """Note which files a bucket's listing stood for, so that they are not fetched to be hashed again."""
        note = self.note(listing)
        note.with_suffix(".new").write_text(json.dumps([astuple(file) for file in files]))
        note.with_suffix(".new").replace(note)

    def recall(self, listing: str) -> tuple[ModelFile, ...] | None:
        """The files that the listing stood for; None where it is not known or they are not here intact."""
        try:
            files = tuple(ModelFile(*values) for values in json.loads(self.note(listing).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return files if self.intact(files) else None

    def note(self, listing: str) -> Path:
        return self.root / f"{hashlib.sha256(listing.encode()).hexdigest()[:32]}.json"


def size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
