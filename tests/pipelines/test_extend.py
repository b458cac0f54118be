"""A prompt folder that grows: new files go on in the same output, nothing finished is touched, the rest is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import entries, images, job, own_files
from generators import TestSource

from jobs.settings import read_settings
from pipelines import errors
from pipelines.batch import preview
from pipelines.manifest import finished_shards
from pipelines.plan import load_plan
from pipelines.progress import Summary
from pipelines.retry import retry_failed
from pipelines.storage import open_store
from pipelines.verify import verify

Run = Callable[..., Summary]
Table = Callable[..., str]
PROMPTS = [f"picture number {index}" for index in range(30)]


def state(out: Path) -> dict[str, tuple[int, bytes]]:
    """Time of writing and content of every image and manifest."""
    keys = [key for key in own_files(out) if key.startswith(("images/", "manifest/"))]
    return {key: ((out / key).stat().st_mtime_ns, (out / key).read_bytes()) for key in keys}


@pytest.fixture
def begun(table: Table, inline: Run, tmp_path: Path) -> Path:
    """A finished run over `t/m.parquet`: 10 rows with seeds, in shards of 4."""
    table({"prompt": PROMPTS[:10], "seed": list(range(10))}, "t/m.parquet")
    inline(job(str(tmp_path / "t"), tmp_path / "out", shard_rows=4))
    return tmp_path / "out"


def test_a_grown_folder_is_refused_until_asked_for(table: Table, inline: Run, tmp_path: Path, begun: Path) -> None:
    before = state(begun)
    table({"prompt": PROMPTS[10:15], "seed": list(range(5))}, "t/n.parquet")
    with pytest.raises(errors.PlanMismatch, match=r"table: planned 1 file, now also n\.parquet; give --extend"):
        inline(job(str(tmp_path / "t"), begun))
    with pytest.raises(errors.PlanMismatch, match=r"n\.parquet"):
        preview(job(str(tmp_path / "t"), begun), TestSource())
    assert state(begun) == before
    assert preview(job(str(tmp_path / "t"), begun, extend=True), TestSource()).images_left == 5


def test_new_files_go_on_and_nothing_finished_is_touched(
    table: Table, inline: Run, tmp_path: Path, begun: Path
) -> None:
    before = state(begun)
    table({"prompt": PROMPTS[10:15], "seed": list(range(5))}, "t/a.parquet")  # sorts before the planned file
    summary = inline(job(str(tmp_path / "t"), begun, extend=True))
    assert (summary.shards_skipped, summary.shards_made, summary.rows, summary.images) == (3, 2, 15, 15)
    after = state(begun)
    assert {key: after[key] for key in before} == before and len(after) > len(before)
    assert [(e["row"], e["prompt"]) for e in entries(begun)] == list(enumerate(PROMPTS[:15]))
    assert [file.name for file in load_plan(open_store(str(begun))).files] == ["m.parquet", "a.parquet"]
    assert verify(str(begun)).ok
    assert inline(job(str(tmp_path / "t"), begun)).made_images == 0  # planned now: the flag is needed no more
    table({"prompt": ["last"], "seed": [1]}, "t/0.parquet")
    assert inline(job(str(tmp_path / "t"), begun, extend=True)).made_images == 1
    assert [e["prompt"] for e in entries(begun)] == [*PROMPTS[:15], "last"]


def test_the_pictures_are_those_of_one_run(table: Table, inline: Run, tmp_path: Path, begun: Path) -> None:
    path = table({"prompt": PROMPTS[10:15], "seed": list(range(5))}, "t/n.parquet")
    inline(job(str(tmp_path / "t"), begun, extend=True))
    inline(job(str(tmp_path / "t"), tmp_path / "whole"))
    assert images(begun) == images(tmp_path / "whole") and path


@pytest.mark.parametrize("extend", [False, True])
def test_an_old_file_that_changed_or_went_is_refused(
    table: Table, inline: Run, tmp_path: Path, begun: Path, extend: bool
) -> None:
    before = state(begun)
    table({"prompt": PROMPTS[:5], "seed": list(range(5))}, "t/n.parquet")
    table({"prompt": PROMPTS[:11], "seed": list(range(11))}, "t/m.parquet")
    with pytest.raises(errors.PlanMismatch, match=r"table m\.parquet: planned 10 rows.*now 11 rows"):
        inline(job(str(tmp_path / "t"), begun, extend=extend))
    (tmp_path / "t/m.parquet").unlink()
    with pytest.raises(errors.PlanMismatch, match=r"table: planned m\.parquet, now n\.parquet; restore") as caught:
        inline(job(str(tmp_path / "t"), begun, extend=extend))
    assert "--extend" not in str(caught.value)
    assert state(begun) == before


def test_a_run_that_was_stopped_half_way(table: Table, inline: Run, tmp_path: Path, begun: Path) -> None:
    (begun / "manifest/00001.parquet").unlink()
    before = state(begun)
    table({"prompt": PROMPTS[10:15], "seed": list(range(5))}, "t/n.parquet")
    summary = inline(job(str(tmp_path / "t"), begun, extend=True))
    assert (summary.shards_skipped, summary.shards_made, summary.made_images) == (2, 3, 9)
    unfinished = "images/00001/"
    assert {k: v for k, v in state(begun).items() if k in before and unfinished not in k} == {
        k: v for k, v in before.items() if unfinished not in k
    }
    assert [e["prompt"] for e in entries(begun)] == PROMPTS[:15] and verify(str(begun)).ok


def test_after_a_limit(table: Table, inline: Run, tmp_path: Path) -> None:
    table({"prompt": PROMPTS[:20]}, "t/m.parquet")
    asked, out = str(tmp_path / "t"), tmp_path / "out"
    inline(job(asked, out, limit=6, shard_rows=4))
    table({"prompt": PROMPTS[20:]}, "t/a.parquet")
    with pytest.raises(errors.PlanMismatch, match="--extend"):
        inline(job(asked, out, limit=6))
    before = state(out)
    assert inline(job(asked, out, limit=6, extend=True)).made_images == 0
    assert inline(job(asked, out, limit=23)).made_images == 17
    assert inline(job(asked, out)).made_images == 7
    assert {key: state(out)[key] for key in before} == before
    assert [e["prompt"] for e in entries(out)] == PROMPTS and verify(str(out)).ok
    assert [segment.rows for segment in load_plan(open_store(str(out))).segments] == [6, 17, 7]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"prompt": ["x"], "seed": [1], "kind": ["k"]}, r"columns kind: planned absent, now 'string' in n\.parquet"),
        ({"prompt": ["x"], "seed": [0.5]}, r"columns seed: planned 'int64', now 'double' in n\.parquet"),
        ({"prompt": ["x"], "seed": [1], "n": [2]}, r"columns n: planned absent, now 'int64' in n\.parquet"),
    ],
)
def test_a_new_file_with_other_columns(
    table: Table, inline: Run, tmp_path: Path, begun: Path, columns: dict[str, Any], words: str
) -> None:
    before = state(begun)
    table(columns, "t/n.parquet")
    with pytest.raises(errors.PlanMismatch, match=words + r"; write n\.parquet with the columns and types") as caught:
        inline(job(str(tmp_path / "t"), begun, extend=True))
    assert "another output folder" in str(caught.value)
    assert state(begun) == before


def test_a_new_file_that_lacks_a_column(table: Table, inline: Run, tmp_path: Path, begun: Path) -> None:
    table({"prompt": ["without a seed"]}, "t/n.parquet")
    assert inline(job(str(tmp_path / "t"), begun, extend=True)).complete
    assert entries(begun)[10]["prompt"] == "without a seed"
    table({"seed": [3]}, "t/o.parquet")
    with pytest.raises(errors.NoPromptColumn, match=r"o\.parquet has no column 'prompt', .* in m\.parquet"):
        inline(job(str(tmp_path / "t"), begun, extend=True))


def test_the_order_of_a_new_files_columns_changes_no_manifest(table: Table, inline: Run, tmp_path: Path) -> None:
    table({"prompt": ["a"], "x": ["1"], "y": [2]}, "t/m.parquet")
    inline(job(str(tmp_path / "t"), tmp_path / "out"))
    table({"y": [4], "x": ["3"], "prompt": ["b"]}, "t/a.parquet")
    inline(job(str(tmp_path / "t"), tmp_path / "out", extend=True))
    found = entries(tmp_path / "out")
    assert [(e["prompt"], e["x"], e["y"]) for e in found] == [("a", "1", 2), ("b", "3", 4)]
    assert list(found[0])[-2:] == list(found[1])[-2:] == ["x", "y"]


def test_where_there_is_nothing_to_extend(table: Table, inline: Run, tmp_path: Path) -> None:
    path = table({"prompt": PROMPTS[:4]})
    for made in (4, 0):
        assert inline(job(path, tmp_path / "out", extend=True)).made_images == made
    assert finished_shards(open_store(str(tmp_path / "out"))) == {0}


def test_retry_looks_at_the_planned_files_only(table: Table, inline: Run, tmp_path: Path) -> None:
    table({"prompt": ["a", f"FAILS-WITHOUT {tmp_path}/cure"]}, "t/m.parquet")
    inline(job(str(tmp_path / "t"), tmp_path / "out"))
    columns = list(entries(tmp_path / "out")[0])
    table({"kind": ["k"], "prompt": ["new"]}, "t/a.parquet")
    (tmp_path / "cure").touch()
    retry = retry_failed(str(tmp_path / "out"), source=TestSource())
    assert (retry.made_images, retry.failed, retry.images) == (1, 0, 2)
    assert list(entries(tmp_path / "out")[0]) == columns


def test_the_flag_and_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("prompts: p\noutput: o\nextend: true\n")
    assert read_settings(file, {"extend": None}).extend
    assert read_settings(None, {"prompts": "p", "output": "o", "extend": True}).extend
    assert not read_settings(None, {"prompts": "p", "output": "o", "extend": None}).extend
