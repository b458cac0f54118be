"""Retry touches failed rows only; verify finds whatever is wrong; status counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import entries, images, job, own_files
from generators import TestSource

from imagen_model.generation import ErrorCode
from pipelines import errors
from pipelines.progress import Summary
from pipelines.retry import retry_failed
from pipelines.status import read_status
from pipelines.storage import LocalStore
from pipelines.verify import verify

Run = Callable[..., Summary]
Table = Callable[..., str]


@pytest.fixture
def failing(table: Table, inline: Run, tmp_path: Path) -> Path:
    """A finished run of 12 rows in shards of 4: row 1 is empty, row 5 fails until the file `cure` is there."""
    prompts = [f"good {index}" for index in range(12)]
    prompts[1], prompts[5] = "", f"FAILS-WITHOUT {tmp_path}/cure"
    inline(job(table({"prompt": prompts, "kind": ["k"] * 12}), tmp_path / "out", shard_rows=4))
    return tmp_path / "out"


def test_retry_makes_failed_rows_only(failing: Path) -> None:
    before = {key: ((failing / key).stat().st_mtime_ns, (failing / key).read_bytes()) for key in own_files(failing)}
    old = entries(failing)
    (failing.parent / "cure").write_text("")
    summary = retry_failed(str(failing), source=TestSource())
    new = entries(failing)
    assert (summary.made_images, summary.made_failed, summary.images, summary.failed) == (2, 1, 12, 1)
    assert new[5]["status"] == "success" and new[5]["attempts"] == 2 and new[5]["error_code"] is None
    assert new[1]["status"] == "failed" and new[1]["attempts"] == 2
    untouched = [index for index in range(12) if index not in {1, 5}]
    assert [old[index] for index in untouched] == [new[index] for index in untouched]
    after = {key: ((failing / key).stat().st_mtime_ns, (failing / key).read_bytes()) for key in own_files(failing)}
    added = {"images/00001/000000005-0.png"}
    changed = {key for key in before if before[key] != after[key]}
    assert set(after) - set(before) == added
    assert changed <= {"manifest/00000.parquet", "manifest/00001.parquet"} | {
        "images/00000/metadata.parquet",
        "images/00001/metadata.parquet",
    }
    assert verify(str(failing)).ok
    found = datasets.load_dataset("imagefolder", data_dir=str(failing), cache_dir=str(failing.parent / "c"))["train"]
    assert len(found) == 11


def test_retry_by_code(failing: Path) -> None:
    (failing.parent / "cure").write_text("")
    summary = retry_failed(str(failing), codes={ErrorCode.EMPTY_PROMPT}, source=TestSource())
    found = entries(failing)
    assert summary.made_images == 1 and found[1]["attempts"] == 2 and found[5]["attempts"] == 1


def test_retry_that_is_cut_short_loses_nothing(failing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = entries(failing)
    (failing.parent / "cure").write_text("")
    put = LocalStore.put

    def cut(self: LocalStore, key: str, data: bytes, durable: bool = True) -> None:
        if key == "manifest/00001.parquet":
            raise errors.StoreUnavailable("power cut")
        put(self, key, data, durable)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "put", cut)
        with pytest.raises(errors.StoreUnavailable):
            retry_failed(str(failing), codes={ErrorCode.GENERATION_FAILED}, source=TestSource())
    assert entries(failing) == old
    assert set(verify(str(failing)).counts) == {"orphan", "wrong_metadata"}
    assert retry_failed(str(failing), codes={ErrorCode.GENERATION_FAILED}, source=TestSource()).failed == 1
    assert verify(str(failing)).ok


def test_retry_with_nothing_failed_or_another_model(table: Table, inline: Run, tmp_path: Path) -> None:
    inline(job(table({"prompt": ["a"]}), tmp_path / "out"))
    assert retry_failed(str(tmp_path / "out"), source=TestSource()).made_images == 0
    with pytest.raises(errors.PlanMismatch, match="model_revision"):
        retry_failed(str(tmp_path / "out"), source=TestSource(revision="new"))
    with pytest.raises(errors.NoPlan):
        retry_failed(str(tmp_path), source=TestSource())


def test_status_counts(failing: Path) -> None:
    found = read_status(str(failing))
    assert (found.rows, found.rows_done, found.images, found.succeeded, found.failed) == (12, 12, 12, 10, 2)
    assert found.codes == {"empty_prompt": 1, "generation_failed": 1} and found.complete and found.running is None
    (failing / "manifest/00002.parquet").unlink()
    found = read_status(str(failing))
    assert (found.rows_done, found.shards_done, found.complete) == (8, 2, False)
    with pytest.raises(errors.NoPlan):
        read_status(str(failing.parent))


def damage_image(out: Path) -> None:
    (out / "images/00002/000000009-0.png").write_bytes(b"x")


def swap_images(out: Path) -> None:
    data = bytearray((out / "images/00002/000000009-0.png").read_bytes())
    data[-5] ^= 1
    (out / "images/00002/000000009-0.png").write_bytes(data)


def drop_image(out: Path) -> None:
    (out / "images/00002/000000009-0.png").unlink()


def drop_manifest(out: Path) -> None:
    (out / "manifest/00002.parquet").unlink()


def break_manifest(out: Path) -> None:
    (out / "manifest/00002.parquet").write_bytes(b"PAR1 nonsense")


def rewrite(out: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    path = out / "manifest/00002.parquet"
    pq.write_table(change(pq.read_table(path)), path)


def drop_row(out: Path) -> None:
    rewrite(out, lambda table: table.slice(1))


def double_row(out: Path) -> None:
    rewrite(out, lambda table: pa.concat_tables([table, table.slice(0, 1)]))


def break_metadata(out: Path) -> None:
    (out / "images/00002/metadata.parquet").unlink()


def stray_image(out: Path) -> None:
    (out / "images/00002/000000099-0.png").write_bytes(b"x")


def stray_file(out: Path) -> None:
    (out / "images/notes.txt").write_bytes(b"x")


def stray_manifest(out: Path) -> None:
    (out / "manifest/00077.parquet").write_bytes(b"x")


@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        (damage_image, {"wrong_size"}),
        (swap_images, {"wrong_hash"}),
        (drop_image, {"missing_image"}),
        (drop_manifest, {"missing_shard", "orphan"}),
        (break_manifest, {"bad_manifest"}),
        (drop_row, {"missing_row", "orphan", "wrong_metadata"}),
        (double_row, {"unplanned_row", "wrong_metadata"}),
        (break_metadata, {"wrong_metadata"}),
        (stray_image, {"orphan"}),
        (stray_file, {"orphan"}),
        (stray_manifest, {"orphan"}),
    ],
)
def test_verify_finds(failing: Path, damage: Callable[[Path], None], kinds: set[str]) -> None:
    assert verify(str(failing)).ok
    damage(failing)
    report = verify(str(failing))
    assert not report.ok and set(report.counts) == kinds


@pytest.mark.parametrize("damage", [break_metadata, stray_image, stray_file, stray_manifest])
def test_verify_cleans(failing: Path, damage: Callable[[Path], None]) -> None:
    before = images(failing)
    damage(failing)
    (failing / ".run/tmp").mkdir(exist_ok=True)
    (failing / ".run/tmp/left").write_bytes(b"half")
    assert verify(str(failing), clean=True).removed == 1
    assert verify(str(failing)).ok and images(failing) == before
    assert not (failing / ".run/tmp/left").exists()
