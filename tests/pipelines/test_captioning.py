"""Pictures become a table of alt texts: what is there is read, what is broken says so, what is done stays done."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import entries, job
from PIL import Image
from typer.testing import CliRunner

from imagen_model.captioner_source import find_captioner
from imagen_model.illustrations.drawing import draw
from imagen_model.illustrations.scene import DrawnObject, ObjectScene
from jobs.cli import app
from pipelines import ray_flow
from pipelines.captioning import CaptionJob, CaptionSummary, run_captioning
from pipelines.errors import ForeignOutput, InvalidJob, NoFilesMatch, PlanMismatch
from pipelines.job import Pool
from pipelines.progress import Summary
from pipelines.shard_reader import Shard, read_shard
from pipelines.stage import Record, Stage


def rows(output: Path) -> list[dict[str, Any]]:
    """Every caption row, in order."""
    return [row for path in sorted(output.glob("captions/*.parquet")) for row in pq.read_table(path).to_pylist()]


def bytes_of(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.glob("captions/*")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three drawings in folders and formats of their own, and one file that is no picture."""
    found = tmp_path / "pictures"
    (found / "more").mkdir(parents=True)
    for index, (colour, name) in enumerate((("red", "a.png"), ("green", "b.jpg"), ("blue", "more/c.webp"))):
        scene = ObjectScene("white", (DrawnObject(("square", "heart", "cross")[index], colour, 3, 3, 10),))
        Image.fromarray(draw(scene, 64)).save(found / name, quality=95)
    (found / "b2.png").write_bytes(b"no picture")
    (found / "notes.txt").write_text("is not looked at")
    return found


@pytest.fixture
def caption(monkeypatch: pytest.MonkeyPatch) -> Callable[..., CaptionSummary]:
    """`run_captioning` with the stage called in this process: everything but Ray."""

    def run_shards(
        shards: Sequence[Shard], schema: pa.Schema, source: Any, config: Any, workers: Any, stage: Any = Stage
    ) -> Iterator[Record]:
        made = stage(source, config)
        for shard in shards:
            yield Record(**json.loads(made(read_shard(shard, schema)).column("record")[0].as_py()))

    monkeypatch.setattr(ray_flow, "run_shards", run_shards)
    monkeypatch.setattr(ray_flow, "ray_running", lambda pool, log_file: nullcontext())
    monkeypatch.setattr(ray_flow, "choose_workers", lambda pool, shards: ray_flow.Workers(1, 1.0, 0.0))

    def run(images: Path | str, output: Path | str) -> CaptionSummary:
        return run_captioning(CaptionJob(str(images), str(output), pool=Pool(workers=1, batch_size=4)))

    return run


def test_a_broken_picture_is_a_failed_row_and_its_neighbours_are_fine(
    caption: Callable[..., CaptionSummary], folder: Path, tmp_path: Path
) -> None:
    summary = caption(folder, tmp_path / "out")
    assert (summary.pictures, summary.succeeded, summary.codes) == (4, 3, {"invalid_image": 1})
    found = {row["file_name"]: row for row in rows(tmp_path / "out")}
    assert list(found) == ["a.png", "b.jpg", "b2.png", "more/c.webp"]
    assert found["a.png"]["text"] == "A red square on a white background."
    assert "green heart" in found["b.jpg"]["text"] and "blue cross" in found["more/c.webp"]["text"]
    assert found["b2.png"]["text"] is None and "cannot be read" in found["b2.png"]["error_message"]
    for name, row in found.items():
        assert row["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_a_run_goes_on_where_it_was_cut_short(
    caption: Callable[..., CaptionSummary], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.pictures.SHARD_PICTURES", 2)
    whole = caption(folder, tmp_path / "whole")
    assert (whole.shards, whole.shards_made) == (2, 2)
    caption(folder, tmp_path / "out")
    first, second = sorted((tmp_path / "out" / "captions").iterdir())
    kept = first.stat().st_mtime_ns
    second.unlink()
    again = caption(folder, tmp_path / "out")
    assert (again.shards_made, again.made, again.pictures, again.failed) == (1, 2, 4, 1)
    assert first.stat().st_mtime_ns == kept and bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")
    assert caption(folder, tmp_path / "out").shards_made == 0


@pytest.mark.parametrize("output_format", ["imagefolder", "webdataset", "parquet"])
def test_the_programs_own_output_is_read_in_every_format(
    inline: Callable[..., Summary],
    caption: Callable[..., CaptionSummary],
    table: Callable[..., str],
    tmp_path: Path,
    output_format: str,
) -> None:
    prompts = table({"prompt": [f"p{i}" for i in range(7)] + [" "]})
    inline(job(prompts, tmp_path / "run", shard_rows=3, output_format=output_format))
    made = [row for row in entries(tmp_path / "run") if row["status"] == "success"]
    named = tmp_path / "run" / "manifest" if output_format == "parquet" else tmp_path / "run"
    summary = caption(named, tmp_path / "out")
    assert (summary.pictures, summary.failed, summary.shards) == (7, 0, 3)
    names = [(row["file_name"], row["member"], row["sha256"]) for row in rows(tmp_path / "out")]
    assert names == [(row["file_name"], row["member"], row["sha256"]) for row in made]


def test_globs_single_files_and_what_is_refused(
    caption: Callable[..., CaptionSummary], folder: Path, tmp_path: Path
) -> None:
    assert [row["file_name"] for row in only(caption, f"{folder}/*/*.webp", tmp_path / "glob")] == ["more/c.webp"]
    assert [row["file_name"] for row in only(caption, folder / "b.jpg", tmp_path / "file")] == ["b.jpg"]
    with pytest.raises(NoFilesMatch, match="no picture matches"):
        caption(tmp_path / "nowhere", tmp_path / "none")
    with pytest.raises(ForeignOutput, match=r"a\.png"):
        caption(folder, folder)
    caption(folder, tmp_path / "out")
    (folder / "d.png").write_bytes(b"new")
    with pytest.raises(PlanMismatch, match="count: planned 4, now 5"):
        caption(folder, tmp_path / "out")


def only(caption: Callable[..., CaptionSummary], images: Path | str, output: Path) -> list[dict[str, Any]]:
    assert caption(images, output).succeeded == 1
    return rows(output)


def test_an_unfinished_run_is_refused(
    inline: Callable[..., Summary],
    caption: Callable[..., CaptionSummary],
    table: Callable[..., str],
    tmp_path: Path,
) -> None:
    inline(job(table({"prompt": ["a", "b"]}), tmp_path / "run", shard_rows=1))
    (tmp_path / "run" / "manifest" / "00001.parquet").unlink()
    with pytest.raises(InvalidJob, match="1 of 2 shards"):
        caption(tmp_path / "run", tmp_path / "out")


def test_the_command_runs_through_ray_and_exits_honestly(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from jobs.cli import main; main()", "caption", str(folder), str(tmp_path / "out")]
    run = subprocess.run([*command, "--workers", "1"], capture_output=True, text=True, check=False)
    assert run.returncode == 3, run.stderr
    assert "3 captions, 1 failed" in run.stdout and "invalid_image 1, such as " in run.stdout
    assert rows(tmp_path / "out")[0]["text"] == "A red square on a white background."


@pytest.mark.usefixtures("caption")
def test_the_command_without_failures_ends_with_0_and_tells_it_in_json(folder: Path, tmp_path: Path) -> None:
    (folder / "b2.png").unlink()
    run = CliRunner().invoke(app, ["caption", str(folder), str(tmp_path / "out"), "--json"])
    assert run.exit_code == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["succeeded"] == 3 and report["model_revision"] == find_captioner("imagen-small").revision
