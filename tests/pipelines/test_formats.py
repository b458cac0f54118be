"""Tar and Parquet shards: whole, in order, the same bytes from every run; what is damaged is found and mended."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import entries, images, job, own_files
from generators import TestSource
from PIL import Image

from pipelines import errors
from pipelines.export import export
from pipelines.formats import OUTPUT_FORMATS, spool
from pipelines.progress import Summary
from pipelines.retry import retry_failed
from pipelines.status import read_status
from pipelines.verify import verify

Run = Callable[..., Summary]
Table = Callable[..., str]
ARCHIVES = {"webdataset": "tar", "parquet": "parquet"}


def columns(tmp_path: Path, rows: int = 20) -> dict[str, list[object]]:
    """Rows with failures, several images, text in two scripts, absent values; row 5 fails until `cure` is there."""
    prompts = [f"drawing {index} 山" for index in range(rows)]
    prompts[1], prompts[5], prompts[9] = "", f"FAILS-WITHOUT {tmp_path}/cure", "BOOM"
    return {
        "id": [f"a.b/{index}" for index in range(rows)],
        "prompt": prompts,
        "n": [2 if index % 7 == 3 else 1 for index in range(rows)],
        "note": [None if index % 2 else "x" for index in range(rows)],
        "score": [None if index == 2 else index / 3 for index in range(rows)],
    }


def stored(out: Path) -> dict[str, bytes]:
    """Every object that two runs share: all but manifests and report, which say when and where, and bookkeeping."""
    found = [path for path in out.rglob("*") if path.is_file()]
    names = [path.relative_to(out).as_posix() for path in found]
    return {
        name: path.read_bytes()
        for name, path in zip(names, found, strict=True)
        if not name.startswith((".run/", "manifest/", ".report/", "report.html"))
    }


@pytest.mark.parametrize("name", OUTPUT_FORMATS)
def test_two_runs_write_the_same_bytes(table: Table, inline: Run, tmp_path: Path, name: str) -> None:
    prompts = table(columns(tmp_path))
    runs = [tmp_path / "one", tmp_path / "two"]
    for out, batch in zip(runs, (3, 16), strict=True):
        inline(job(prompts, out, shard_rows=6, batch_size=batch, output_format=name))
    first, second = map(stored, runs)
    assert first == second
    assert {"README.md", "croissant.json", ".card/samples.png"} < set(first)
    assert verify(str(runs[0])).ok
    assert read_status(str(runs[0])).failed == 3


@pytest.mark.parametrize("name", ARCHIVES)
def test_pictures_are_those_of_an_imagefolder(table: Table, inline: Run, tmp_path: Path, name: str) -> None:
    prompts = table(columns(tmp_path))
    inline(job(prompts, tmp_path / "plain", shard_rows=6))
    inline(job(prompts, tmp_path / "out", shard_rows=6, output_format=name))
    plain, found = entries(tmp_path / "plain"), entries(tmp_path / "out")
    assert [entry["sha256"] for entry in plain] == [entry["sha256"] for entry in found]
    good = [entry for entry in found if entry["status"] == "success"]
    assert {entry["file_name"] for entry in good} == {f"data/{n:05d}.{ARCHIVES[name]}" for n in range(4)}
    assert good[3]["member"] == "000000003-1.png" and all(entry["member"] is None for entry in plain)
    members = {
        member: data
        for number in range(4)
        for member, data in OUTPUT_FORMATS[name].archive.read(tmp_path / f"out/data/{number:05d}.{ARCHIVES[name]}")  # type: ignore[attr-defined]
    }
    assert members == images(tmp_path / "plain") and len(members) == len(good)


def test_tar_members(table: Table, inline: Run, tmp_path: Path) -> None:
    inline(job(table(columns(tmp_path)), tmp_path / "out", shard_rows=6, output_format="webdataset"))
    with tarfile.open(tmp_path / "out/data/00000.tar") as tar:
        infos = tar.getmembers()
        names = [info.name for info in infos]
        assert names[:6] == [f"000000000-0.{e}" for e in ("png", "txt", "json")] + [
            f"000000002-0.{e}" for e in ("png", "txt", "json")
        ]
        assert {(i.mtime, i.uid, i.gid, i.uname, i.gname, i.mode) for i in infos} == {(0, 0, 0, "", "", 0o644)}
        text = tar.extractfile("000000002-0.txt")
        side = tar.extractfile("000000002-0.json")
        assert text is not None and text.read().decode() == "drawing 2 山"
        assert side is not None
        row = json.loads(side.read())
    assert row["id"] == "a.b/2" and row["row"] == 2 and row["note"] == "x" and "score" not in row


def test_parquet_schema(table: Table, inline: Run, tmp_path: Path) -> None:
    inline(job(table(columns(tmp_path)), tmp_path / "out", shard_rows=6, output_format="parquet"))
    found = pq.read_table(tmp_path / "out/data/00001.parquet")
    features = json.loads(found.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"} and set(features) == set(found.column_names)
    assert features["score"] == {"dtype": "float64", "_type": "Value"}
    first = found.to_pylist()[0]
    assert first["image"]["path"] == "000000006-0.png" and first["text"] == "drawing 6 山"
    assert Image.open(io.BytesIO(first["image"]["bytes"])).size == (64, 64)


@pytest.mark.parametrize("name", ARCHIVES)
def test_retry_keeps_every_other_byte(table: Table, inline: Run, tmp_path: Path, name: str) -> None:
    prompts, out = table(columns(tmp_path)), tmp_path / "out"
    inline(job(prompts, out, shard_rows=6, output_format=name))
    before = stored(out)
    (tmp_path / "cure").write_text("")
    summary = retry_failed(str(out), source=TestSource())
    assert (summary.made_images, summary.made_failed) == (3, 2)
    after = stored(out)
    changed = {key for key in after if after[key] != before.get(key)}
    assert changed - {"README.md", ".card/samples.png"} == {f"data/00000.{ARCHIVES[name]}"}
    assert verify(str(out)).ok
    inline(job(prompts, tmp_path / "fresh", shard_rows=6, output_format=name))
    assert stored(tmp_path / "fresh") == after


@pytest.mark.parametrize("name", ARCHIVES)
def test_damage_is_found_and_mended(table: Table, inline: Run, tmp_path: Path, name: str) -> None:
    out, suffix = tmp_path / "out", ARCHIVES[name]
    inline(job(table(columns(tmp_path)), out, shard_rows=6, output_format=name))
    good = {path.name: path.read_bytes() for path in (out / "data").iterdir()}
    (out / f"data/00000.{suffix}").write_bytes(good[f"00000.{suffix}"][:1500])
    (out / f"data/00001.{suffix}").write_bytes(good[f"00002.{suffix}"])
    (out / f"data/00077.{suffix}").write_bytes(b"")
    if name == "webdataset":
        third = out / "data/00003.tar"
        third.write_bytes(third.read_bytes().replace(b"drawing 18", b"drawing 81"))
    report = verify(str(out))
    # A tar that is cut short is read up to there; a Parquet file is not read at all.
    expected = {
        "webdataset": {"missing_image": 10, "wrong_metadata": 1},
        "parquet": {"missing_image": 6, "bad_archive": 1},
    }
    assert dict(report.counts) == expected[name] | {"orphan": 1}
    for number in (0, 1):
        (out / f"manifest/{number:05d}.parquet").unlink()
    inline(job(str(tmp_path / "prompts.parquet"), out, shard_rows=6, output_format=name))
    verify(str(out), clean=True)
    assert verify(str(out)).ok
    assert {path.name: path.read_bytes() for path in (out / "data").iterdir()} == good


@pytest.mark.parametrize("name", ARCHIVES)
def test_metadata_that_disagrees_with_the_manifest_is_mended(
    table: Table, inline: Run, tmp_path: Path, name: str
) -> None:
    """As a retry leaves it that was killed between the archive and the manifest."""
    prompts, out = table(columns(tmp_path)), tmp_path / "out"
    inline(job(prompts, out, shard_rows=6, output_format=name))
    before, manifest = stored(out), (out / "manifest/00000.parquet").read_bytes()
    (tmp_path / "cure").write_text("")
    retry_failed(str(out), source=TestSource())
    (out / "manifest/00000.parquet").write_bytes(manifest)
    assert dict(verify(str(out)).counts) == {"wrong_metadata": 1}
    verify(str(out), clean=True)
    assert verify(str(out)).ok
    key = f"data/00000.{ARCHIVES[name]}"
    assert stored(out)[key] == before[key]


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_shard_without_pictures_has_no_archive(table: Table, inline: Run, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    inline(job(table({"prompt": ["", "", "ok"]}), out, shard_rows=2, output_format=name))
    assert [path.stem for path in (out / "data").iterdir()] == ["00001"]
    assert verify(str(out)).ok


@pytest.mark.parametrize("name", ARCHIVES)
def test_large_shards_pass_through_the_disk(
    table: Table, inline: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    prompts = table(columns(tmp_path))
    inline(job(prompts, tmp_path / "memory", output_format=name))
    monkeypatch.setattr(spool, "IN_MEMORY", 100)
    monkeypatch.setattr("pipelines.formats.archive.IN_MEMORY", 100)
    inline(job(prompts, tmp_path / "disk", output_format=name))
    assert stored(tmp_path / "memory") == stored(tmp_path / "disk")


@pytest.mark.parametrize("source", OUTPUT_FORMATS)
def test_export_is_what_a_run_would_have_written(table: Table, inline: Run, tmp_path: Path, source: str) -> None:
    prompts = table(columns(tmp_path))
    inline(job(prompts, tmp_path / source, shard_rows=6, output_format=source))
    for name in OUTPUT_FORMATS:
        if name == source:
            continue
        direct, copy = tmp_path / f"direct-{name}", tmp_path / f"copy-{name}"
        inline(job(prompts, direct, shard_rows=6, output_format=name))
        report = export(str(tmp_path / source), name, str(copy))
        assert stored(copy) == stored(direct) and own_files(copy) == own_files(direct)
        assert (report.shards_made, report.failed) == (4, 3) and verify(str(copy)).ok
        (copy / "manifest/00002.parquet").unlink()
        assert export(str(tmp_path / source), name, str(copy)).shards_made == 1
        assert stored(copy) == stored(direct)
    (tmp_path / "cure").write_text("")
    assert retry_failed(str(copy), source=TestSource()).made_failed == 2


def test_export_refuses(table: Table, inline: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    inline(job(table(columns(tmp_path)), out, shard_rows=6))
    with pytest.raises(errors.InvalidJob, match="onto itself"):
        export(str(out), "parquet", f"{out}/")
    with pytest.raises(errors.InvalidJob, match="'tfrecord' is not known; give one of: imagefolder, webdataset"):
        export(str(out), "tfrecord", str(tmp_path / "copy"))
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/notes.txt").write_text("mine")
    with pytest.raises(errors.ForeignOutput, match=r"notes\.txt"):
        export(str(out), "parquet", str(tmp_path / "foreign"))
    (out / "images/00000/000000000-0.png").write_bytes(b"damaged")
    with pytest.raises(errors.StoreError, match="the picture of row 0 is damaged"):
        export(str(out), "parquet", str(tmp_path / "copy"))
    (out / "manifest/00001.parquet").unlink()
    with pytest.raises(errors.InvalidJob, match="1 of 4 shards are missing"):
        export(str(out), "parquet", str(tmp_path / "other"))


def test_another_format_for_the_same_output_is_refused(table: Table, inline: Run, tmp_path: Path) -> None:
    prompts, out = table({"prompt": ["a", "b"]}), tmp_path / "out"
    inline(job(prompts, out))
    with pytest.raises(errors.PlanMismatch, match="output_format: planned imagefolder, now webdataset"):
        inline(job(prompts, out, output_format="webdataset"))
    assert verify(str(out)).ok
