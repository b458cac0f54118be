"""The pictures of a captioning job, as shards: those of a run of this program, or loose files of any folder.

A run's manifests say which pictures there are, so a shard of captions is a shard of the run, in every output format.
Loose pictures are listed once, into a table of the same columns in the captions' own folder, and read by the same way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from .errors import InvalidJob, NoFilesMatch, UnreadableTable
from .formats import OutputFormat, output_format
from .manifest import MANIFEST, SCHEMA, SUCCESS, finished_shards, manifest_key, read_footer, to_bytes
from .plan import PLAN, load_plan
from .remote_tables import check_answers, filesystem_of, reading
from .shard_reader import Piece, Shard
from .storage import Store, open_store
from .table_files import hidden

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
LISTING = ".run/pictures.parquet"
SHARD_PICTURES = 256
# What a worker reads of each picture's row, in a run's manifest and in a listing alike.
COLUMNS = pa.schema([SCHEMA.field(name) for name in ("row", "image_index", "shard", "file_name", "member", "status")])


@dataclass(frozen=True, slots=True)
class Pictures:
    """Args:
    root: folder or URL to which the pictures' file names are relative.
    layout: name of the output format in which they lie; loose files are an "imagefolder".
    rows: of each shard, by its number; for a run with its failed rows.
    names: of loose files; empty for a run.
    fingerprint: hash over which pictures there are; a run's is that of its settings and shards.
    """

    root: str
    layout: str
    rows: dict[int, int]
    names: tuple[str, ...]
    fingerprint: str

    def shards(self, output: Store, wanted: set[int]) -> Iterator[Shard]:
        """The shards of these numbers; `write_listing` comes first."""
        start = 0
        store = open_store(self.root, answered=True)
        for number, rows in self.rows.items():
            if number in wanted:
                piece = Piece(output.child_url(LISTING), start, rows)
                if not self.names:
                    piece = Piece(store.child_url(manifest_key(number)), 0, rows)
                yield Shard(number, start, start + rows, (piece,))
            start += rows

    def write_listing(self, output: Store) -> None:
        """Of loose pictures, for the workers."""
        if not self.names or output.exists(LISTING):
            return
        rows = [
            {"row": index, "image_index": 0, "shard": index // SHARD_PICTURES, "file_name": name, "status": SUCCESS}
            for index, name in enumerate(self.names)
        ]
        output.put(LISTING, to_bytes(rows, COLUMNS))

    def format(self) -> OutputFormat:
        return output_format(self.layout)


def find_pictures(images: str) -> Pictures:
    """Args:
        images: folder or URL of a run, or its manifest; or a folder, a file or a glob of pictures.

    Raises:
        NoFilesMatch: nothing is there.
        InvalidJob: the run is not finished.
        StoreError, UnreadableTable: it cannot be read.
    """
    check_answers(images)
    root = run_of(images)
    return loose_pictures(images) if root is None else run_pictures(root)


def run_of(images: str) -> str | None:
    """The root of the run that is meant; None for something else than a run."""
    trimmed = images.rstrip("/")
    before, found, after = trimmed.rpartition(f"/{MANIFEST}")
    if found and (not after or (after.startswith("/") and after.endswith(".parquet"))):
        trimmed = before
    if any(mark in trimmed for mark in "*?["):
        return None
    return trimmed if trimmed and open_store(trimmed).exists(PLAN) else None


def run_pictures(root: str) -> Pictures:
    store = open_store(root)
    plan = load_plan(store)
    done = finished_shards(store)
    missing = plan.shards - len(done)
    if missing > 0:
        raise InvalidJob(f"{root} is not finished ({missing} of {plan.shards} shards are missing); run its job first")
    rows = {number: read_footer(store, number).rows for number in sorted(done)}
    return Pictures(root, plan.output_format, rows, (), digest(f"{plan.settings.fingerprint()} {rows}"))


def loose_pictures(images: str) -> Pictures:
    filesystem, path = filesystem_of(images)
    try:
        paths, base = reading(lambda: found_files(filesystem, path), images, answered=False)
    except PermissionError as error:
        raise UnreadableTable(f"{images} cannot be read ({error}); grant permission to read it") from error
    if not paths:
        raise NoFilesMatch(
            f"no picture matches {images!r}; give a folder with pictures ({', '.join(SUFFIXES)}), a glob in quotes, "
            "or the output of imagegen generate"
        )
    names = tuple(str(PurePosixPath(each).relative_to(base)) for each in paths)
    root = base if "://" not in images or images.startswith("file://") else filesystem.unstrip_protocol(base)
    starts = range(0, len(names), SHARD_PICTURES)
    rows = {number: min(SHARD_PICTURES, len(names) - start) for number, start in enumerate(starts)}
    return Pictures(str(root), "imagefolder", rows, names, digest("\n".join(names)))


def found_files(filesystem: Any, path: str) -> tuple[list[str], str]:
    """Sorted paths of pictures, and the folder that they are relative to."""
    fs = filesystem
    if any(mark in path for mark in "*?[") and not fs.exists(path):
        found = [each for each in fs.glob(path) if fs.isfile(each)]
        base = path[: min(path.index(mark) for mark in "*?[" if mark in path)].rpartition("/")[0] or "/"
    elif fs.isdir(path):
        base = path.rstrip("/") or "/"
        inside = [each for each in fs.find(path) if each.lower().endswith(SUFFIXES)]
        found = [each for each in inside if not hidden(PurePosixPath(each).relative_to(base))]
    else:
        base = str(PurePosixPath(path).parent)
        found = [path] if fs.isfile(path) else []
    return sorted(found), base


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
