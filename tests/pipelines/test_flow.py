"""The contracts of a run, with the stage called in this process: names, commits, resume, failures, plans."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import entries, images, job, own_files
from generators import TestSource

from imagen_model.flat_colour import RULES, FlatColourGenerator
from imagen_model.generation import GenerationRequest
from pipelines import errors, manifest, stage
from pipelines.batch import plan_job, preview
from pipelines.export import export
from pipelines.job import BatchJob, FailureBudget
from pipelines.plan import load_plan
from pipelines.progress import Progress, Summary
from pipelines.rows import derived_seed
from pipelines.storage import LocalStore, open_store
from pipelines.table_files import TableFiles
from pipelines.verify import verify

Run = Callable[..., Summary]
Table = Callable[..., str]
PROMPTS = [f"picture number {index}" for index in range(30)]


def test_a_run_from_end_to_end(table: Table, inline: Run, tmp_path: Path) -> None:
    path = table({"prompt": PROMPTS, "id": [f"id{i}" for i in range(30)], "seed": list(range(30)), "kind": ["a"] * 30})
    out = tmp_path / "out"
    seen: list[Progress] = []
    summary = inline(job(path, out, shard_rows=8), follow=seen.append)
    assert (summary.complete, summary.images, summary.failed, summary.shards) == (True, 30, 0, 4)
    assert seen[0].images_done == 0 and seen[-1].images_done == seen[-1].images_total == 30
    found = entries(out)
    assert [entry["row"] for entry in found] == list(range(30))
    assert [entry["seed"] for entry in found] == list(range(30))
    assert found[17]["file_name"] == "images/00002/000000017-0.png"
    assert found[17]["id"] == "id17" and found[17]["kind"] == "a" and found[17]["status"] == "success"
    assert verify(str(out)).ok
    expected = {entry["file_name"] for entry in found}
    expected |= {f"images/{n:05d}/metadata.parquet" for n in range(4)} | {f"manifest/{n:05d}.parquet" for n in range(4)}
    assert own_files(out) == expected


def test_hugging_face_and_duckdb_read_it(table: Table, inline: Run, tmp_path: Path) -> None:
    prompts = [*PROMPTS[:9], "", "BOOM"]
    columns = {"prompt": prompts, "kind": pa.array([None] * 11, pa.null()), "tags": [["x"]] * 11, "text": ["t"] * 11}
    out = tmp_path / "out"
    inline(job(table(columns), out, shard_rows=3))
    found = datasets.load_dataset("imagefolder", data_dir=str(out), cache_dir=str(tmp_path / "cache"))["train"]
    assert sorted(found["text"]) == sorted(PROMPTS[:9]) and set(found["input_text"]) == {"t"}
    assert found[0]["image"].size == (64, 64)
    query = f"select status, count(*) from '{out}/manifest/*.parquet' group by 1 order by 1"
    assert duckdb.sql(query).fetchall() == [("failed", 2), ("success", 9)]


def test_failing_rows_leave_their_neighbours_alone(table: Table, inline: Run, tmp_path: Path) -> None:
    bad = {
        1: ("", "empty_prompt"),
        2: ("bad \x07", "invalid_row"),
        3: ("x" * 100_000, "prompt_too_long"),
        5: ("BOOM", "generation_failed"),
        6: ("NOMEM", "out_of_memory"),
        9: (None, "empty_prompt"),
    }
    prompts = [bad[i][0] if i in bad else f"good {i}" for i in range(12)]
    inline(job(table({"prompt": prompts}), tmp_path / "bad"))
    inline(job(table({"prompt": [f"good {i}" for i in range(12)]}, "b.parquet"), tmp_path / "good"))
    found = entries(tmp_path / "bad")
    assert [e["row"] for e in found] == list(range(12))
    assert {e["row"]: e["error_code"] for e in found if e["status"] == "failed"} == {k: v[1] for k, v in bad.items()}
    assert all(e["error_message"] and e["file_name"] is None for e in found if e["status"] == "failed")
    assert len(found[3]["prompt"]) < 2000 and found[2]["prompt"] == "bad \\x07"
    good = images(tmp_path / "good")
    assert images(tmp_path / "bad") == {name: data for name, data in good.items() if int(name[:9]) not in bad}
    assert verify(str(tmp_path / "bad")).ok


def test_the_image_is_the_rows_wherever_it_stands(table: Table, inline: Run, tmp_path: Path) -> None:
    ids = [f"id{i}" for i in range(30)]
    order = [(i * 7) % 30 for i in range(30)]
    inline(job(table({"prompt": PROMPTS, "id": ids}), tmp_path / "a", n=2))
    shuffled = table({"prompt": [PROMPTS[i] for i in order], "id": [ids[i] for i in order]}, "b.parquet")
    inline(job(shuffled, tmp_path / "b", n=2, batch_size=7, shard_rows=11))

    def by_id(out: Path) -> dict[tuple[str, int], str]:
        return {(e["id"], e["image_index"]): e["sha256"] for e in entries(out)}

    assert by_id(tmp_path / "a") == by_id(tmp_path / "b")
    assert len(set(by_id(tmp_path / "a").values())) == 60


def test_n_images_each_with_its_seed(table: Table, inline: Run, tmp_path: Path) -> None:
    inline(job(table({"prompt": ["a", "b"], "seed": [2**32 - 1, None], "n": [3, 2]}), tmp_path / "out"))
    found = [(e["row"], e["image_index"], e["seed"]) for e in entries(tmp_path / "out")]
    hashed = [(1, i, derived_seed(0, None, 1, i)) for i in range(2)]
    assert found == [(0, 0, 2**32 - 1), (0, 1, 0), (0, 2, 1), *hashed]


def test_the_manifest_comes_last(table: Table, inline: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    put, flush = LocalStore.put, LocalStore.flush

    def recorded(self: LocalStore, key: str, data: bytes, durable: bool = True) -> None:
        put(self, key, data, durable)
        written.append(key)

    def flushed(self: LocalStore, prefix: str) -> None:
        flush(self, prefix)
        written.append(f"{prefix}/ is durable")

    monkeypatch.setattr(LocalStore, "put", recorded)
    monkeypatch.setattr(LocalStore, "flush", flushed)
    inline(job(table({"prompt": PROMPTS}), tmp_path / "out", shard_rows=8))
    for shard in range(4):
        own = [key for key in written if key.startswith((f"images/{shard:05d}/", f"manifest/{shard:05d}"))]
        folder = f"images/{shard:05d}/"
        assert own[-3:] == [f"{folder}metadata.parquet", f"{folder} is durable", f"manifest/{shard:05d}.parquet"]
        assert len(own) == {3: 6}.get(shard, 8) + 3


def test_a_shard_without_its_manifest_is_not_done(
    table: Table, inline: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power is cut between the images and the manifest of shard 1."""
    path, out = table({"prompt": PROMPTS}), tmp_path / "out"
    put = LocalStore.put

    def cut(self: LocalStore, key: str, data: bytes, durable: bool = True) -> None:
        if key == "manifest/00001.parquet":
            raise errors.StoreUnavailable("power cut")
        put(self, key, data, durable)

    monkeypatch.setattr(LocalStore, "put", cut)
    with pytest.raises(errors.StoreUnavailable, match="power cut"):
        inline(job(path, out, shard_rows=8))
    assert manifest.finished_shards(open_store(str(out))) == {0}
    assert {problem.kind for problem in verify(str(out)).problems} == {"missing_shard", "orphan"}


def test_resume_makes_only_what_is_missing(
    table: Table, inline: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = table({"prompt": PROMPTS}), tmp_path / "out"
    inline(job(path, out, shard_rows=8))
    whole, first = images(out), entries(out)
    (out / "manifest/00002.parquet").unlink()
    (out / "images/00002/000000017-0.png").write_bytes(b"half")
    stamps = {key: (out / key).stat().st_mtime_ns for key in own_files(out) if "00002" not in key}
    summary = inline(job(path, out, shard_rows=8))
    assert (summary.shards_made, summary.shards_skipped, summary.made_images, summary.images) == (1, 3, 8, 30)
    assert images(out) == whole
    assert stamps == {key: (out / key).stat().st_mtime_ns for key in stamps}
    assert [e["sha256"] for e in entries(out)] == [e["sha256"] for e in first]


def test_nothing_left_to_do_starts_nothing(
    table: Table, inline: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table({"prompt": PROMPTS})
    inline(job(path, tmp_path / "out"))
    monkeypatch.setattr("pipelines.ray_flow.run_shards", lambda *_: pytest.fail("started"))
    summary = inline(job(path, tmp_path / "out"))
    assert summary.complete and summary.workers == 0 and summary.images == 30


def test_limit_then_the_rest(table: Table, inline: Run, tmp_path: Path) -> None:
    path = table({"prompt": PROMPTS})
    inline(job(path, tmp_path / "whole"))
    for limit in (10, 10, 17, None):
        summary = inline(job(path, tmp_path / "parts", limit=limit))
        assert summary.complete and summary.rows >= (limit or 30)
    assert images(tmp_path / "parts") == images(tmp_path / "whole")
    assert [segment.rows for segment in load_plan(open_store(str(tmp_path / "parts"))).segments] == [10, 7, 13]
    assert verify(str(tmp_path / "parts")).ok


def test_a_lower_limit_works_on_earlier_shards_only(table: Table, inline: Run, tmp_path: Path) -> None:
    path, out = table({"prompt": PROMPTS}), tmp_path / "out"
    inline(job(path, out, shard_rows=8))
    for number in (0, 3):
        (out / f"manifest/{number:05d}.parquet").unlink()
    summary = inline(job(path, out, shard_rows=8, limit=9))
    assert (summary.shards_made, summary.shards) == (1, 2)
    assert manifest.finished_shards(open_store(str(out))) == {0, 1, 2}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"seed": 1}, "seed"),
        ({"image_format": "webp"}, "image_format"),
        ({"guidance_scale": 2.0}, "parameters guidance_scale"),
        ({"n": 2}, "images_per_prompt"),
        ({"size": "128x128"}, "parameters width"),
        ({"shard_rows": 16}, "shard_rows"),
    ],
)
def test_a_rerun_with_other_settings_is_refused(
    table: Table, inline: Run, tmp_path: Path, change: dict[str, Any], field: str
) -> None:
    path = table({"prompt": PROMPTS})
    inline(job(path, tmp_path / "out", shard_rows=8))
    before = {key: (tmp_path / "out" / key).read_bytes() for key in own_files(tmp_path / "out")}
    with pytest.raises(errors.PlanMismatch) as caught:
        inline(job(path, tmp_path / "out", **{"shard_rows": 8, **change}))
    assert field in {difference.field for difference in caught.value.differences}
    assert "planned" in str(caught.value) and "output folder" in str(caught.value)
    assert before == {key: (tmp_path / "out" / key).read_bytes() for key in own_files(tmp_path / "out")}


def test_another_model_or_table_is_refused(table: Table, inline: Run, tmp_path: Path) -> None:
    path, out = table({"prompt": PROMPTS}), tmp_path / "out"
    inline(job(path, out))
    with pytest.raises(errors.PlanMismatch, match=r"model_revision: planned 'flat-colour-1', now 'flat-colour-2'"):
        inline(job(path, out), TestSource(revision="flat-colour-2"))
    table({"prompt": [*PROMPTS[:-1], "changed"]})
    with pytest.raises(errors.PlanMismatch, match=r"table prompts\.parquet: planned 30 rows"):
        inline(job(path, out))
    with pytest.raises(errors.PlanMismatch, match=r"prompts\.parquet"):
        inline(job(table({"prompt": PROMPTS}, "other.parquet"), out))


def test_workers_and_batches_change_no_byte(table: Table, inline: Run, tmp_path: Path) -> None:
    path = table({"prompt": PROMPTS})
    found = []
    for index, (batch, rows) in enumerate([(1, None), (3, 9), (8, 16), (16, None)]):
        inline(job(path, tmp_path / str(index), batch_size=batch, shard_rows=rows, workers=index + 1))
        found.append(images(tmp_path / str(index)))
    assert len(found[0]) == 30 and all(each == found[0] for each in found)


def test_foreign_files_are_left_alone(table: Table, inline: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.doc").write_text("do not lose me")
    with pytest.raises(errors.ForeignOutput, match=r"thesis\.doc"):
        inline(job(table({"prompt": PROMPTS}), tmp_path / "out"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.doc"]


def test_an_output_that_is_a_file(table: Table, inline: Run, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(errors.StoreDenied, match="another output"):
        inline(job(table({"prompt": PROMPTS}), tmp_path / "out"))


def test_a_bad_table_leaves_no_output(table: Table, inline: Run, tmp_path: Path) -> None:
    with pytest.raises(errors.NoPromptColumn):
        inline(job(table({"words": PROMPTS}), tmp_path / "out"))
    assert own_files(tmp_path / "out") == set()
    assert inline(job(table({"prompt": PROMPTS}), tmp_path / "out")).complete


def test_a_broken_worker_is_one_clear_error(table: Table, inline: Run, tmp_path: Path) -> None:
    with pytest.raises(errors.WorkersFailed, match="a worker could not start: RuntimeError: no such weights"):
        inline(job(table({"prompt": PROMPTS}), tmp_path / "out"), TestSource(broken="no such weights"))


def test_an_image_that_cannot_be_stored_fails_its_row_only(
    table: Table, inline: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.store_errors.PAUSES", (0.0, 0.0))
    put_once, tries = LocalStore.put_once, []

    def flaky(self: LocalStore, key: str, data: bytes, durable: bool) -> None:
        if key.endswith("000000005-0.png"):
            tries.append(key)
            raise OSError("connection reset")
        put_once(self, key, data, durable)

    monkeypatch.setattr(LocalStore, "put_once", flaky)
    inline(job(table({"prompt": PROMPTS[:8]}), tmp_path / "out"))
    assert len(tries) == 3
    codes = [entry["error_code"] for entry in entries(tmp_path / "out")]
    assert codes == [None] * 5 + ["upload_failed"] + [None] * 2


def test_a_full_disk_stops_the_job_and_the_rest_comes_later(
    table: Table, inline: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = table({"prompt": PROMPTS}), tmp_path / "out"
    put_once = LocalStore.put_once

    def full(self: LocalStore, key: str, data: bytes, durable: bool) -> None:
        if key.startswith("images/00002"):
            raise OSError(28, "No space left on device")
        put_once(self, key, data, durable)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "put_once", full)
        with pytest.raises(errors.StoreFull, match=r"no space left.*free some space"):
            inline(job(path, out, shard_rows=8))
    assert [e for e in entries(out) if e["status"] == "failed"] == []
    assert manifest.finished_shards(open_store(str(out))) == {0, 1}
    assert inline(job(path, out, shard_rows=8)).complete


def test_encode_failures(table: Table, inline: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    save = Image.Image.save

    def failing(self: Image.Image, *args: Any, **kwargs: Any) -> None:
        if self.getpixel((0, 0)) == wanted:
            raise OSError("encoder error -2")
        save(self, *args, **kwargs)

    from imagen_model.flat_colour import FlatColourGenerator
    from imagen_model.generation import Success

    result = FlatColourGenerator().paint(GenerationRequest(prompt=PROMPTS[3], seed=derived_seed(0, None, 3, 0)))
    assert isinstance(result, Success)
    wanted = result.image.getpixel((0, 0))
    monkeypatch.setattr(Image.Image, "save", failing)
    inline(job(table({"prompt": PROMPTS[:6]}), tmp_path / "out"))
    assert [e["error_code"] for e in entries(tmp_path / "out")] == [None] * 3 + ["encode_failed"] + [None] * 2


def test_the_failure_budget(table: Table, inline: Run, tmp_path: Path) -> None:
    path = table({"prompt": ["", *PROMPTS[:7], "", "", *PROMPTS[7:21]]})
    with pytest.raises(errors.TooManyFailures, match="3 images failed, at most 2 may"):
        inline(job(path, tmp_path / "out", shard_rows=4, max_failures=2))
    assert 1 < len(manifest.finished_shards(open_store(str(tmp_path / "out")))) < 6
    assert inline(job(path, tmp_path / "out", shard_rows=4, max_failures="20%")).complete


@pytest.mark.parametrize(("text", "images", "allowed"), [(None, 10, None), ("3", 10, 3), ("5%", 200, 10), (0, 9, 0)])
def test_failure_budgets(text: str | int | None, images: int, allowed: int | None) -> None:
    assert FailureBudget.parse(text).allowed(images) == allowed


@pytest.mark.parametrize(
    "settings",
    [
        {"max_failures": "many"},
        {"max_failures": "101%"},
        {"n": 0},
        {"n": 101},
        {"seed": -1},
        {"size": "wide"},
        {"size": "64x64", "width": 64},
        {"image_format": "gif"},
        {"quality": 50},
        {"quality": 0, "image_format": "jpeg"},
        {"limit": 0},
        {"shard_rows": 2000},
        {"temperature": 99.0},
    ],
)
def test_a_job_cannot_be_built_wrong(settings: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidJob):
        BatchJob("a", "b", **settings)


def test_a_job_the_model_does_not_take_is_refused_before_anything(table: Table, inline: Run, tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidJob, match="num_inference_steps"):
        inline(job(table({"prompt": PROMPTS}), tmp_path / "out", num_inference_steps=10))
    assert not (tmp_path / "out").exists()


def test_preview_touches_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(PROMPTS))
    found = preview(job(str(tmp_path / "a.txt"), tmp_path / "out", n=2), TestSource())
    assert (found.rows, found.images, found.images_left) == (30, 60, 60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt"]


def test_the_plan_does_not_grow_with_rows(table: Table, inline: Run, tmp_path: Path) -> None:
    sizes = []
    for rows in (1000, 100_000):
        path = table({"prompt": ["x"] * rows}, f"{rows}.parquet")
        asked = job(path, tmp_path / "out")
        store = open_store(str(tmp_path / "out"))
        plan, _ = plan_job(asked, TestSource(), TableFiles(path), store, store)
        sizes.append(len(plan.to_json()))
    assert sizes[1] < sizes[0] * 1.05
    json.loads(plan.to_json())


def test_own_columns_pass_through_and_never_collide(table: Table, inline: Run, tmp_path: Path) -> None:
    when = datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)
    columns = {"prompt": ["a", ""], "status": ["mine", "x"], "when": [when, None], "nested": [{"k": [1]}, None]}
    inline(job(table(columns), tmp_path / "out"))
    found = entries(tmp_path / "out")
    assert [e["input_status"] for e in found] == ["mine", "x"]
    assert found[0]["when"] == when and found[0]["nested"] == {"k": [1]} and found[0]["status"] == "success"


def test_post_processing_is_the_rows_or_the_jobs_and_the_manifest_says_both_sizes(
    table: Table, inline: Run, tmp_path: Path
) -> None:
    steps = ["upscale=90x70", "", None, "denoise, upscale=64x100", "blur", "upscale=60x64"]
    path = table({"prompt": PROMPTS[:6], "post_processing": steps})
    out = tmp_path / "out"
    inline(job(path, out, shard_rows=4, post_processing="sharpen=1"))
    found = entries(out)
    sizes = [(entry["width"], entry["height"]) for entry in found[:4]]
    assert sizes == [(90, 70), (64, 64), (64, 64), (64, 100)]
    assert [entry["post_processing"] for entry in found[:4]] == [steps[0], "sharpen=1", "sharpen=1", steps[3]]
    assert {(entry["generated_width"], entry["generated_height"]) for entry in found[:4]} == {(64, 64)}
    assert [entry["error_code"] for entry in found[4:]] == ["invalid_parameter"] * 2
    assert verify(str(out)).ok
    export(str(out), "parquet", str(tmp_path / "copy"))
    assert verify(str(tmp_path / "copy")).ok
    assert [entry["generated_width"] for entry in entries(tmp_path / "copy")[:4]] == [64] * 4


def test_a_run_without_the_younger_parameters_is_what_it_was(table: Table, inline: Run, tmp_path: Path) -> None:
    path = table({"prompt": PROMPTS})
    out = tmp_path / "out"
    inline(job(path, out, shard_rows=10, limit=10, guidance_scale=1.5))
    plan = load_plan(open_store(str(out)))
    assert plan.settings.fingerprint() == "ee17121f81910a5f"  # of revision d3606f5, which had neither
    assert pq.read_schema(out / "manifest/00000.parquet").names == manifest.SCHEMA.names
    with pytest.raises(errors.PlanMismatch, match="parameters post_processing: planned absent, now 'denoise'"):
        inline(job(path, out, guidance_scale=1.5, post_processing="denoise"))
    assert inline(job(path, out, guidance_scale=1.5)).complete
    assert {entry["config_fingerprint"] for entry in entries(out)} == {"ee17121f81910a5f"}


def test_manifest_schema_is_the_same_in_every_shard(table: Table, inline: Run, tmp_path: Path) -> None:
    columns = {"prompt": ["", "", "a", "b"], "none": pa.array([None] * 4, pa.null())}
    inline(job(table(columns), tmp_path / "out", shard_rows=2))
    schemas = [pq.read_schema(path) for path in sorted((tmp_path / "out/manifest").iterdir())]
    assert schemas[0].equals(schemas[1]) and not any(pa.types.is_null(field.type) for field in schemas[0])
    assert not (tmp_path / "out/images/00000").exists()


def test_text_marked_utf8_that_is_not(table: Table, inline: Run, tmp_path: Path) -> None:
    raw = pa.array([b"good", b"bad \xff", b"fine"], pa.binary())
    broken = pa.StringArray.from_buffers(3, raw.buffers()[1], raw.buffers()[2])
    inline(job(table({"prompt": broken, "note": broken}), tmp_path / "out"))
    found = entries(tmp_path / "out")
    assert [e["error_code"] for e in found] == [None, "invalid_row", None]
    assert [e["note"] for e in found][0::2] == ["good", "fine"]


def test_model_column(table: Table, inline: Run, tmp_path: Path) -> None:
    path = table({"prompt": ["a", "b", "c"], "model": ["flat-colour", "dall-e-3", None]})
    inline(job(path, tmp_path / "out"))
    found = entries(tmp_path / "out")
    assert [e["error_code"] for e in found] == [None, "invalid_parameter", None]
    assert {e["model"] for e in found} == {"flat-colour"} and "dall-e-3" in found[1]["error_message"]


def test_the_stage_asks_for_batches_of_the_generators_size(table: Table, inline: Run, tmp_path: Path) -> None:
    items = [stage.Item(row, None, 0, GenerationRequest("a", row), {}) for row in range(10)]
    four = FlatColourGenerator(4)
    assert [len(batch) for batch in stage.micro_batches(items, set(), four)] == [4, 4, 2]
    assert [[item.row for item in batch] for batch in stage.micro_batches(items, {7, 2}, four)][:2] == [[2], [7]]
    assert RULES.sizes[0] == (64, 64)
