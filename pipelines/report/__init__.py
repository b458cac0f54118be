"""`report.html` beside a dataset: one page that opens from a disk or a bucket, without a server.

    OUTPUT/report.html                        the page, with its style and script inside
    OUTPUT/.report/data/00000-HASH.js         2,000 rows of the gallery
    OUTPUT/.report/sprites/00042-0-HASH.webp  64 thumbnails of a shard

All of it follows from the output: a report is no part of the dataset, may be deleted, and is made anew at any time,
also while a run is at work. Files are named by their content and the page is replaced in one step, so that whoever
looks meanwhile sees a whole report.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..formats import output_format
from ..reporting import FOLDER, PAGE
from ..storage import open_store
from .chunks import CHUNKS, chunks_of, successes_by_shard
from .page import render
from .sprites import sprites_of, write_sprites
from .survey import take_survey

__all__ = ["Report", "write_report"]


@dataclass(frozen=True, slots=True)
class Report:
    """Args:
    page: path or URL of the page.
    rows: shown in the gallery, failures included.
    drawn: pictures whose thumbnails were made now; the others were there.
    seconds: that it took.
    """

    page: str
    rows: int
    drawn: int
    seconds: float


def write_report(output: str, price_per_gpu_hour: float | None = None) -> Report:
    """Write the report of what the output holds now.

    Args:
        output: folder or URL of a run, finished or not.
        price_per_gpu_hour: in any currency; None for what each run was told.

    Raises:
        NoPlan: the output holds no run.
        StoreError: it cannot be read or written.
    """
    begun = time.perf_counter()
    store = open_store(output)
    found = take_survey(store)
    layout = output_format(found.plan.output_format)
    good = successes_by_shard(found.rows) if found.schema else {}
    sprites = {shard: sprites_of(shard, entries) for shard, entries in good.items()}
    drawn = write_sprites(store, layout, sprites)
    chunks = chunks_of(found.rows, found.schema, sprites) if found.schema else []
    present = {each.key for each in store.list(CHUNKS) if each.size}
    for chunk in chunks:
        if chunk.key not in present:
            store.put(chunk.key, chunk.data, durable=False)
    store.flush(CHUNKS)
    store.put(PAGE, render(found, output, chunks, price_per_gpu_hour).encode())
    used = {chunk.key for chunk in chunks} | {each.key for of_shard in sprites.values() for each in of_shard}
    for old in [each.key for each in store.list(FOLDER.rstrip("/")) if each.key not in used]:
        store.delete(old)
    return Report(store.child_url(PAGE), found.rows.num_rows, drawn, time.perf_counter() - begun)
