"""A row that failed is no picture that took its time: no speed is told of such a run."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.bench import throughput
from pipelines.errors import WorkersFailed
from tests.inline import without_ray


def test_failed_rows_are_no_images_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    without_ray(monkeypatch)

    def write_prompts(path: Path, rows: int) -> Path:
        pq.write_table(pa.table({"prompt": [*["a red circle"] * (rows - 1), ""]}), path)
        return path

    monkeypatch.setattr(throughput, "write_prompts", write_prompts)
    with pytest.raises(WorkersFailed, match=r"1 of 8 pictures failed \(empty_prompt 1\)"):
        throughput.run_through("flat-colour", 8, "64x64", 1)
