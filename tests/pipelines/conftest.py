"""Shared by the pipeline tests: small tables, outputs to compare, one Ray, and a way to run without Ray."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generators import TestSource

from pipelines.batch import run_batch
from pipelines.card import CARD
from pipelines.job import BatchJob, Pool
from pipelines.manifest import finished_shards
from pipelines.progress import Summary
from pipelines.reporting import FOLDER, PAGE
from pipelines.stage import Source
from pipelines.storage import open_store
from tests.inline import without_ray

os.environ.setdefault("RAY_AUTH_MODE", "disabled")


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., str]:
    """Writes columns to a Parquet file and gives its path."""

    def write(columns: dict[str, Any] | pa.Table, name: str = "prompts.parquet", **options: Any) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
        return str(path)

    return write


def job(prompts: str, output: Path | str, **settings: Any) -> BatchJob:
    pool = Pool(workers=settings.pop("workers", 1), batch_size=settings.pop("batch_size", 4))
    return BatchJob(prompts, str(output), model="flat-colour", pool=pool, **({"report": False} | settings))


def images(output: Path | str) -> dict[str, bytes]:
    """Every image's bytes by its name without the shard's folder."""
    return {path.name: path.read_bytes() for path in Path(output, "images").glob("*/*-*.*")}


def entries(output: Path | str) -> list[dict[str, Any]]:
    """Every manifest row, in order."""
    store = open_store(str(output))
    tables = [pq.read_table(store.child_url(f"manifest/{n:05d}.parquet")) for n in sorted(finished_shards(store))]
    return pa.concat_tables(tables).to_pylist() if tables else []


def own_files(output: Path | str) -> set[str]:
    """Every object but the bookkeeping under `.run`, the dataset's card and the report."""
    keys = {found.key for found in open_store(str(output)).list("") if not found.key.startswith((".run/", FOLDER))}
    return keys - {*CARD, PAGE}


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Summary]:
    """`run_batch` with the stage called in this process: everything but Ray, in milliseconds."""
    return run_inline(monkeypatch)


def run_inline(patch: pytest.MonkeyPatch) -> Callable[..., Summary]:
    without_ray(patch)

    def run(asked: BatchJob, source: Source | None = None, **options: Any) -> Summary:
        return run_batch(asked, source=source or TestSource(), **options)

    return run


@pytest.fixture(scope="session")
def shared_ray() -> Iterator[None]:
    """One Ray for all tests that need one in this process."""
    os.environ["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    from pipelines import ray_flow
    from pipelines.quiet import ray_quiet

    with ray_quiet(None):
        ray_flow.ray.init(
            address="local",
            num_cpus=8,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=120 * 2**20,
        )
        yield
        ray_flow.ray.shutdown()
