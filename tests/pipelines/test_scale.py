"""Counting reads footers alone, and the benchmark's half-done runs are what the pipeline itself would have left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import entries, job

from jobs.bench import scale
from jobs.bench.half_done import Case, write_half_done
from pipelines import errors
from pipelines.census import Census, count_shards
from pipelines.manifest import finished_shards
from pipelines.progress import Summary
from pipelines.status import read_status
from pipelines.storage import open_store

Run = Callable[..., Summary]
MADE_UP = ("sha256", "bytes", "generation_ms", "worker", "created_at")


@pytest.fixture
def counted(table: Callable[..., str], inline: Run, tmp_path: Path) -> Path:
    """Three shards of two rows, with two kinds of failure."""
    inline(job(table({"prompt": ["a", "", "b", "BOOM", "", "c"]}), tmp_path / "out", shard_rows=2))
    return tmp_path / "out"


def test_a_footer_says_what_its_rows_say(counted: Path) -> None:
    rows = entries(counted)
    codes = Counter(e["error_code"] for e in rows if e["error_code"])
    expected = Census(6, codes, sum(e["bytes"] or 0 for e in rows))
    assert codes == {"empty_prompt": 2, "generation_failed": 1} and expected.bytes > 0
    store = open_store(str(counted))
    assert count_shards(store, range(3)) == expected
    for path in (counted / "manifest").iterdir():  # as another program would write it
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    assert count_shards(store, range(3)) == expected


def test_counting_reads_no_column(counted: Path) -> None:
    store = open_store(str(counted))
    before = count_shards(store, range(3))
    for path in (counted / "manifest").iterdir():
        data = path.read_bytes()
        footer = int.from_bytes(data[-8:-4], "little") + 8
        path.write_bytes(data[:4] + b"\xff" * (len(data) - footer - 4) + data[-footer:])
    assert count_shards(store, range(3)) == before
    with pytest.raises((pa.ArrowException, OSError)):
        pq.read_table(counted / "manifest/00000.parquet")


def test_a_manifest_that_is_none(counted: Path) -> None:
    (counted / "manifest/00001.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(errors.StoreError, match=r"manifest/00001\.parquet is damaged .*delete it and run the same job"):
        read_status(str(counted))


def test_the_benchmarks_manifests_are_the_pipelines(inline: Run, tmp_path: Path) -> None:
    half = write_half_done(Case(4000, 100, files=2), tmp_path / "prompts", tmp_path / "half", processes=1)
    assert finished_shards(open_store(half.output)) == set(range(0, 40, 2))
    whole = job(half.prompts, tmp_path / "whole", shard_rows=100)
    assert inline(whole).complete
    for shard in (0, 38):
        ours, theirs = (pq.read_table(tmp_path / out / f"manifest/{shard:05d}.parquet") for out in ("half", "whole"))
        assert ours.schema.equals(theirs.schema)
        assert ours.drop_columns(MADE_UP).to_pylist() == theirs.drop_columns(MADE_UP).to_pylist()
    assert read_status(half.output).images == 2000


def test_the_steps_measure_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "CASES", {"small": Case(400, 10)})
    found = scale.measure_scale(rounds=1)["small"]
    assert set(found) == {"plan", "resume", "status"}
    assert all(step["seconds"] > 0 and step["peak_megabytes"] > 20 for step in found.values())
