"""Reads a whole output back: every planned row once, every file whole, nothing that does not belong there."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice

from PIL import Image

from .card import CARD
from .contact_sheet import CONTACT_SHEET
from .errors import StoreError
from .formats import OutputFormat, output_format
from .formats.layout import Picture, successes
from .lease import Holder, Lease, living_holder
from .manifest import Entry, ManifestSchema, finished_shards, manifest_key, read_manifest, shard_of
from .plan import Plan, load_plan
from .reporting import FOLDER, PAGE
from .storage import Store, open_store

MAX_LISTED = 100
MISSING = "missing_shard"
DECODED_AT_ONCE = 16  # pictures held in memory
OWN = (".run/", FOLDER)
NO_DATA = {*CARD, CONTACT_SHEET, PAGE}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one object or row. `kind` is one of: missing_shard, bad_manifest, missing_row,
    unplanned_row, missing_image, wrong_size, wrong_hash, undecodable, bad_archive, wrong_metadata, orphan.
    """

    kind: str
    key: str
    detail: str


@dataclass(slots=True)
class Verification:
    """Args:
    planned_rows, planned_shards: of the plan.
    rows, images, bytes: read back and found right or wrong; `shards`: that are done.
    problems: the first 100 of each kind; `counts` has them all.
    removed: orphans that were removed (with `clean`).
    running: who is writing to the output meanwhile; None for nobody.
    """

    planned_rows: int
    planned_shards: int
    shards: int
    running: Holder | None = None
    rows: int = 0
    images: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    removed: int = 0

    @property
    def ok(self) -> bool:
        return not self.counts

    @property
    def only_unfinished(self) -> bool:
        """All that is there is right; the rest is not made yet."""
        return set(self.counts) == {MISSING}

    def add(self, problem: Problem) -> None:
        self.counts[problem.kind] += 1
        if self.counts[problem.kind] <= MAX_LISTED:
            self.problems.append(problem)


def verify(output: str, clean: bool = False) -> Verification:
    """Read everything back.

    Args:
        clean: also remove what does not belong there, and write damaged metadata anew.

    Raises:
        NoPlan: the folder holds no run.
        OutputLocked: with `clean`, a run is at work.
    """
    store = open_store(output)
    plan = load_plan(store)
    layout = output_format(plan.output_format)
    with Lease(store) if clean else nullcontext():
        if clean:
            store.sweep()
        running = None if clean else living_holder(store)
        planned = list(plan.bounds())
        finished = finished_shards(store)
        done = sum(number in finished for number, _, _ in planned)
        report = Verification(plan.rows, plan.shards, done, running)
        with ThreadPoolExecutor() as threads:
            for number, start, stop in planned:
                if number in finished:
                    check_shard(store, layout, threads, number, start, stop, report, clean)
                else:
                    detail = f"rows {start} to {stop - 1} are not done; run the job again"
                    report.add(Problem(MISSING, manifest_key(number), detail))
        check_orphans(store, layout, plan, finished, report, clean)
    return report


def check_shard(
    store: Store,
    layout: OutputFormat,
    threads: ThreadPoolExecutor,
    number: int,
    start: int,
    stop: int,
    report: Verification,
    clean: bool,
) -> None:
    try:
        table = read_manifest(store, number)
    except StoreError as error:
        report.add(Problem("bad_manifest", manifest_key(number), str(error)))
        return
    entries: list[Entry] = table.to_pylist()
    schema = ManifestSchema.stored(table.schema)
    report.rows += stop - start
    for problem in row_problems(entries, manifest_key(number), start, stop):
        report.add(problem)
    good = successes(entries)
    report.images += len(good)
    report.bytes += sum(entry["bytes"] for entry in good)
    try:
        found = list(picture_problems(layout.pictures(store, number, good), threads))
    except StoreError as error:
        found = [Problem("bad_archive", manifest_key(number), f"{error}; delete this manifest and run the job again")]
    for problem in found:
        report.add(problem)
    expected = layout.expected(number, entries)
    for key in list(layout.objects(store, number)):
        if key not in expected:
            orphan(store, key, "no row of the manifest names it", report, clean)
    trouble = None if found else layout.damage(store, number, entries, schema)
    if trouble is not None:
        report.add(Problem("wrong_metadata", next(iter(sorted(expected)), manifest_key(number)), trouble))
        if clean:
            layout.mend(store, number, entries, schema)
            report.removed += 1


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


def picture_problems(pictures: Iterable[Picture], threads: ThreadPoolExecutor) -> Iterator[Problem]:
    waiting = iter(pictures)
    while few := list(islice(waiting, DECODED_AT_ONCE)):
        yield from (found for found in threads.map(picture_problem, few) if found is not None)


def picture_problem(picture: Picture) -> Problem | None:
    entry, data = picture
    key = "/".join(filter(None, (entry["file_name"], entry["member"])))
    if data is None:
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


def check_orphans(
    store: Store, layout: OutputFormat, plan: Plan, finished: set[int], report: Verification, clean: bool
) -> None:
    """Everything that `check_shard` did not look at."""
    planned = {number for number, _, _ in plan.bounds()}
    looked_through = planned & finished
    for found in list(store.list("")):
        shard, folder = shard_of(found.key), layout.shard_of(found.key)
        if found.key.startswith(OWN) or found.key in NO_DATA or shard in looked_through or folder in looked_through:
            continue
        if report.running is not None and (shard in planned or folder in planned):
            continue  # made since, or in the making
        detail = "its shard is not done; run the job again" if folder in planned else "it is no part of the plan"
        orphan(store, found.key, detail, report, clean)


def orphan(store: Store, key: str, detail: str, report: Verification, clean: bool) -> None:
    report.add(Problem("orphan", key, detail))
    if clean:
        store.delete(key)
        report.removed += 1
