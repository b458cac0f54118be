"""`run_batch` with the stage called in this process: everything but Ray, in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import pyarrow as pa
import pytest

from pipelines import ray_flow
from pipelines.batch import run_batch
from pipelines.job import BatchJob
from pipelines.progress import Summary
from pipelines.shard_reader import Shard, read_shard
from pipelines.stage import Record, Source, Stage, StageConfig


def run_inline(job: BatchJob) -> Summary:
    """One job, and nothing stays patched."""
    with pytest.MonkeyPatch.context() as patch:
        without_ray(patch)
        return run_batch(job)


def without_ray(patch: pytest.MonkeyPatch) -> None:
    """Until the patch is undone."""

    def run_shards(
        shards: Sequence[Shard], schema: pa.Schema, source: Source, config: StageConfig, workers: ray_flow.Workers
    ) -> Iterator[Record]:
        stage = Stage(source, config)
        for shard in shards:
            yield Record(**json.loads(stage(read_shard(shard, schema)).column("record")[0].as_py()))

    patch.setattr(ray_flow, "run_shards", run_shards)
    patch.setattr(ray_flow, "ray_running", lambda pool, log_file: nullcontext())
    patch.setattr(ray_flow, "choose_workers", lambda pool, shards: ray_flow.Workers(1, 1.0, 0.0))
