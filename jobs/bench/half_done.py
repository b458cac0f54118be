"""A large run that is half done, made without making it: a prompt table, its plan, and every second manifest.

The plan is the planner's own. The manifests are what `pipelines.manifest` writes for `flat-colour`, with its
schema and by its writer; only their rows are made column by column, for millions of dicts would take hours.
Pictures are not there: planning, resuming and counting never look at one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imagen_model.catalog import find_model
from pipelines.batch import plan_job
from pipelines.formats.imagefolder import image_folder
from pipelines.formats.layout import picture_name
from pipelines.job import BatchJob
from pipelines.lease import Lease
from pipelines.manifest import SUCCESS, manifest_bytes, manifest_key
from pipelines.plan import PLAN
from pipelines.running import Ground
from pipelines.storage import open_store
from pipelines.table_files import TableFiles
from pipelines.work import Recipe

from .tables import SUBJECTS, write_prompts

BLOCK = 50_000  # rows whose columns are made together
PICTURE_BYTES = 847


@dataclass(frozen=True, slots=True)
class Case:
    """A table and the shards that it is cut into."""

    rows: int
    shard_rows: int
    files: int = 20

    @property
    def shards(self) -> int:
        return -(-self.rows // self.shard_rows)


def write_half_done(case: Case, prompts: Path, output: Path, processes: int) -> BatchJob:
    """The table at `prompts`, unless it is there, and at `output` a run over it with every second shard done."""
    if not prompts.exists():
        prompts.mkdir()
        each = case.rows // case.files
        for number in range(case.files):
            write_prompts(prompts / f"{number:03d}.parquet", each, number * each)
    job = BatchJob(str(prompts), str(output), model="flat-colour", shard_rows=case.shard_rows)
    source, store = find_model(job.model), open_store(job.output)
    plan, table = plan_job(job, source, TableFiles(job.prompts), store, store)
    store.put(PLAN, plan.to_json())
    recipe = Ground(store, Lease(store), plan, table, source).recipe()
    blocks = list(blocks_of(list(plan.bounds())))
    with ProcessPoolExecutor(processes) as pool:
        for _ in pool.map(write_block, [job.output] * len(blocks), [recipe] * len(blocks), blocks):
            pass
    return job


def blocks_of(bounds: list[tuple[int, int, int]]) -> Iterator[list[tuple[int, int, int]]]:
    size = max(1, BLOCK // (bounds[0][2] - bounds[0][1]))
    for start in range(0, len(bounds), size):
        yield bounds[start : start + size]


def write_block(output: str, recipe: Recipe, bounds: list[tuple[int, int, int]]) -> None:
    """The manifests of every second of these consecutive shards."""
    store = open_store(output)
    first = bounds[0][1]
    table = manifest_rows(bounds, recipe)
    for number, start, stop in bounds[::2]:
        store.put(manifest_key(number), manifest_bytes(table.slice(start - first, stop - start)), durable=False)


def manifest_rows(bounds: list[tuple[int, int, int]], recipe: Recipe) -> pa.Table:
    """The rows of these consecutive shards, all of them successes."""
    shards = np.repeat([number for number, _, _ in bounds], [stop - start for _, start, stop in bounds])
    rows = np.arange(bounds[0][1], bounds[-1][2])
    digits = pc.utf8_lpad(pa.array(rows).cast(pa.string()), 9, "0")
    folders = pc.utf8_lpad(pa.array(shards).cast(pa.string()), 5, "0")
    name = f"{image_folder(11111)}/{picture_name(222222222, 0, recipe.settings.image_format)}"
    before, between, after = re.split("11111|222222222", name)
    subjects = pa.array(SUBJECTS).take(pa.array(rows % len(SUBJECTS)))
    count = len(rows)
    constant = {
        "image_index": 0,
        "width": 64,
        "height": 64,
        "guidance_scale": 1.0,
        "model": recipe.settings.model,
        "model_revision": recipe.settings.model_revision,
        "config_fingerprint": recipe.fingerprint,
        "status": SUCCESS,
        "attempts": 1,
        "format": recipe.settings.image_format,
        "bytes": PICTURE_BYTES,
        "generation_ms": 0.0,
        "worker": "bench:1",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    varying = {
        "row": pa.array(rows),
        "shard": pa.array(shards),
        "file_name": pc.binary_join_element_wise(before, folders, between, digits, after, ""),
        "prompt": subjects,
        "seed": pa.array(rows),
        "sha256": random_hashes(count, bounds[0][0]),
    }
    columns = []
    for field in recipe.schema.full:
        if field.name in varying:
            columns.append(varying[field.name].cast(field.type))
        else:
            value = constant.get(field.name)
            columns.append(
                pa.nulls(count, field.type) if value is None else pa.repeat(pa.scalar(value, field.type), count)
            )
    return pa.Table.from_arrays(columns, schema=recipe.schema.full)


def random_hashes(count: int, seed: int) -> pa.Array:
    """As many hexadecimal SHA-256 as look like them: what compresses badly is to stay so."""
    text = np.random.default_rng(seed).bytes(32 * count).hex().encode()
    offsets = np.arange(0, 64 * count + 1, 64, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text))
