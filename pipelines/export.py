"""Converts a finished run into another output format: the same pictures, rows and shard numbers.

The copy is a run of its own, with a plan and manifests, so that `status`, `verify` and `retry` work on it. Like a
job it commits shard by shard, and the same call goes on after an interruption.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from .agreement import check_output
from .card import write_card
from .census import count_shards
from .encoding import EXTENSIONS
from .errors import Difference, InvalidJob, PlanMismatch, StoreError
from .formats import OutputFormat, output_format
from .formats.layout import successes
from .lease import Lease
from .manifest import Entry, ManifestSchema, finished_shards, read_footer, read_manifest, write_shard
from .plan import PLAN, Plan, load_plan
from .storage import Store, check_writable, open_store

THREADS = 4  # shards at once
Follow = Callable[[int, int], None]


def unheard(done: int, total: int) -> None:
    """For callers that do not follow."""


@dataclass(frozen=True, slots=True)
class Export:
    """Args:
    shards, shards_made: of the run; converted by this call.
    images, failed, bytes: of the whole copy; `images` without the failed, which are those that were filtered too.
    """

    source: str
    output: str
    output_format: str
    shards: int
    shards_made: int
    images: int
    failed: int
    bytes: int


def export(source: str, target_format: str, output: str, follow: Follow = unheard) -> Export:
    """Args:
        source: folder or URL of a finished run.
        target_format: imagefolder, webdataset or parquet.
        output: folder or URL of the copy: empty, new, or an export of the same run that was cut short.
        follow: called with (shards done, shards) after each.

    Raises:
        NoPlan: `source` holds no run.
        InvalidJob: the run is not finished, or source and output are one.
        PlanMismatch, ForeignOutput: `output` holds something else.
        StoreError: a picture is missing or damaged, or the output cannot be written.
    """
    target = output_format(target_format)
    store, copy = open_store(source), open_store(output)
    if store.child_url("") == copy.child_url(""):
        raise InvalidJob(f"{source} cannot be exported onto itself; give another output")
    plan = load_plan(store)
    layout = output_format(plan.output_format)
    missing = plan.shards - len(finished_shards(store))
    if missing > 0:
        raise InvalidJob(f"{source} is not finished ({missing} of {plan.shards} shards are missing); run its job first")
    check_output(copy)
    check_writable(copy)
    with Lease(copy):
        copy.sweep()
        copied = dataclasses.replace(plan, output_format=target.name)
        pin(copy, copied)
        schema = ManifestSchema.stored(read_manifest(store, 0).schema)
        done = finished_shards(copy)
        pending = [number for number, _, _ in plan.bounds() if number not in done]
        extension = EXTENSIONS[plan.settings.image_format]
        counted = threading.Lock()
        converted = 0

        def convert(number: int) -> None:
            nonlocal converted
            convert_shard(store, layout, copy, target, number, extension)
            with counted:
                converted += 1
                follow(plan.shards - len(pending) + converted, plan.shards)

        with ThreadPoolExecutor(THREADS) as threads:
            for future in [threads.submit(convert, number) for number in pending]:
                try:
                    future.result()
                except BaseException:
                    threads.shutdown(wait=True, cancel_futures=True)
                    raise
        whole = count_shards(copy, range(plan.shards))
        write_card(copy, copied, whole, range(plan.shards), schema)
        copy.sweep()
    failed = whole.images - whole.succeeded
    return Export(source, output, target.name, plan.shards, len(pending), whole.succeeded, failed, whole.bytes)


def pin(copy: Store, plan: Plan) -> None:
    """Write the copy's plan, or find that it is there already."""
    if not copy.exists(PLAN):
        copy.put(PLAN, plan.to_json())
        return
    stored = load_plan(copy)
    if stored != plan:
        names = [field.name for field in dataclasses.fields(Plan)]
        raise PlanMismatch(
            copy.url,
            [
                Difference(
                    name, f"{getattr(stored, name)!r:.80}", f"{getattr(plan, name)!r:.80}", "give another output"
                )
                for name in names
                if getattr(stored, name) != getattr(plan, name)
            ],
        )


def convert_shard(
    store: Store, layout: OutputFormat, copy: Store, target: OutputFormat, number: int, extension: str
) -> None:
    table = read_manifest(store, number)
    schema = ManifestSchema.stored(table.schema)
    entries: list[Entry] = table.to_pylist()
    with closing(target.begin(copy, number, schema)) as writer:
        for entry, data in layout.pictures(store, number, successes(entries)):
            if data is None or hashlib.sha256(data).hexdigest() != entry["sha256"]:
                what = "is missing" if data is None else "is damaged"
                raise StoreError(
                    f"{store.url}: the picture of row {entry['row']} {what}; `imagegen verify` shows all; delete "
                    f"manifest/{number:05d}.parquet and run the job again"
                )
            entry |= writer.add(entry["row"], entry["image_index"], extension, data)
        write_shard(copy, writer, number, entries, schema, read_footer(store, number).passes)
