"""Reads a whole output back: every planned row once, every file whole, nothing that does not belong there."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from .errors import StoreError
from .lease import Lease
from .manifest import (
    IMAGES,
    SCHEMA,
    SUCCESS,
    Entry,
    ManifestSchema,
    finished_shards,
    image_folder,
    manifest_key,
    metadata_bytes,
    metadata_key,
    read_manifest,
    shard_of,
)
from .plan import Plan, load_plan
from .storage import Store, open_store

MAX_LISTED = 100
OWN = ".run/"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one object or row. `kind` is one of: missing_shard, bad_manifest, missing_row,
    unplanned_row, missing_image, wrong_size, wrong_hash, undecodable, wrong_metadata, orphan.
    """

    kind: str
    key: str
    detail: str


@dataclass(slots=True)
class Verification:
    """Args:
    rows, images, bytes: read back and found right or wrong.
    problems: the first 100; `counts` has them all, by kind.
    removed: orphans that were removed (with `clean`).
    """

    rows: int = 0
    images: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    removed: int = 0

    @property
    def ok(self) -> bool:
        return not self.counts

    def add(self, problem: Problem) -> None:
        self.counts[problem.kind] += 1
        if len(self.problems) < MAX_LISTED:
            self.problems.append(problem)


def verify(output: str, clean: bool = False) -> Verification:
    """Read everything back.

    Args:
        clean: also remove what does not belong there, and write damaged `metadata.parquet` files anew.

    Raises:
        NoPlan: the folder holds no run.
        OutputLocked: with `clean`, a run is at work.
    """
    store = open_store(output)
    plan = load_plan(store)
    report = Verification()
    with Lease(store) if clean else nullcontext():
        if clean:
            store.sweep()
        planned = list(plan.bounds())
        finished = finished_shards(store)
        with ThreadPoolExecutor(max(4, store.threads)) as threads:
            for number, start, stop in planned:
                if number in finished:
                    check_shard(store, threads, number, start, stop, report, clean)
                else:
                    detail = f"rows {start} to {stop - 1} are not done; run the job again"
                    report.add(Problem("missing_shard", manifest_key(number), detail))
        check_orphans(store, plan, finished, report, clean)
    return report


def check_shard(
    store: Store, threads: ThreadPoolExecutor, number: int, start: int, stop: int, report: Verification, clean: bool
) -> None:
    try:
        table = read_manifest(store, number)
    except StoreError as error:
        report.add(Problem("bad_manifest", manifest_key(number), str(error)))
        return
    entries: list[Entry] = table.to_pylist()
    report.rows += stop - start
    for problem in row_problems(entries, manifest_key(number), start, stop):
        report.add(problem)
    good = [entry for entry in entries if entry["status"] == SUCCESS]
    for entry, trouble in zip(good, threads.map(lambda entry: image_problem(store, entry), good), strict=True):
        report.images += 1
        report.bytes += entry["bytes"]
        if trouble is not None:
            report.add(trouble)
    own = list(table.schema)[len(SCHEMA) :]
    schema = ManifestSchema(pa.schema(own), tuple(field.name for field in own))
    check_metadata(store, number, metadata_bytes(entries, schema), report, clean)
    known = {entry["file_name"] for entry in good} | {metadata_key(number)}
    for found in list(store.list(image_folder(number))):
        if found.key not in known:
            orphan(store, found.key, "no row of the manifest names it", report, clean)


def row_problems(entries: list[Entry], key: str, start: int, stop: int) -> Iterator[Problem]:
    """Each row of [start, stop) has the images 0, 1, ... once; no other row is there."""
    by_row: dict[int, list[int]] = {}
    for entry in entries:
        by_row.setdefault(entry["row"], []).append(entry["image_index"])
    for row in range(start, stop):
        if row not in by_row:
            yield Problem("missing_row", key, f"row {row} is not in the manifest")
    for row, indices in by_row.items():
        if not start <= row < stop or sorted(indices) != list(range(len(indices))):
            detail = f"row {row} has images {sorted(indices)[:10]}, the shard's rows are {start} to {stop - 1}"
            yield Problem("unplanned_row", key, detail)


def image_problem(store: Store, entry: Entry) -> Problem | None:
    key = entry["file_name"]
    try:
        data = store.read(key)
    except FileNotFoundError:
        return Problem("missing_image", key, f"row {entry['row']} says it is there")
    if len(data) != entry["bytes"]:
        return Problem("wrong_size", key, f"{len(data)} bytes, the manifest says {entry['bytes']}")
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        return Problem("wrong_hash", key, "its sha256 is not the manifest's")
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            size = image.size
    except Exception as error:  # Pillow raises many kinds for damaged files
        return Problem("undecodable", key, str(error))
    if size != (entry["width"], entry["height"]):
        return Problem("wrong_size", key, f"{size} pixels, the manifest says {entry['width']}x{entry['height']}")
    return None


def check_metadata(store: Store, number: int, expected: bytes | None, report: Verification, clean: bool) -> None:
    """`metadata.parquet` says what the manifest says; a run that was cut short in between is mended here."""
    key = metadata_key(number)
    try:
        found = store.read(key)
    except FileNotFoundError:
        found = None
    if found == expected or (found and expected and same_rows(found, expected)):
        return
    report.add(Problem("wrong_metadata", key, "it does not list the images of the manifest"))
    if clean and expected is not None:
        store.put(key, expected)
        report.removed += 1
    elif clean:
        store.delete(key)
        report.removed += 1


def same_rows(found: bytes, expected: bytes) -> bool:
    """Whether two files hold one table, written perhaps by different versions of the library."""
    try:
        return bool(pq.read_table(io.BytesIO(found)).equals(pq.read_table(io.BytesIO(expected))))
    except OSError:
        return False


def check_orphans(store: Store, plan: Plan, finished: set[int], report: Verification, clean: bool) -> None:
    """Everything outside the folders that `check_shard` looked through."""
    planned = {number for number, _, _ in plan.bounds()}
    looked_through = planned & finished
    for found in list(store.list("")):
        shard, folder = shard_of(found.key), folder_shard(found.key)
        if found.key.startswith(OWN) or shard in looked_through or folder in looked_through:
            continue
        detail = "its shard is not done; run the job again" if folder in planned else "it is no part of the plan"
        orphan(store, found.key, detail, report, clean)


def folder_shard(key: str) -> int | None:
    """The shard in whose image folder the object lies directly."""
    parts = key.split("/")
    return int(parts[1]) if parts[0] == IMAGES and len(parts) == 3 and parts[1].isdecimal() else None


def orphan(store: Store, key: str, detail: str, report: Verification, clean: bool) -> None:
    report.add(Problem("orphan", key, detail))
    if clean:
        store.delete(key)
        report.removed += 1
