"""The outputs, read by the libraries that their users have, without any code of ours in between."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import datasets
import duckdb
import mlcroissant
import pytest
import webdataset
import yaml
from conftest import job
from PIL import Image

from pipelines.formats import OUTPUT_FORMATS
from pipelines.progress import Summary

ROWS = 14


@pytest.fixture(params=OUTPUT_FORMATS)
def output(request: pytest.FixtureRequest, table: Callable[..., str], inline: Callable[..., Summary]) -> Path:
    """A finished run in each format; two rows failed, and some columns begin with absent values."""
    prompts = [f"a picture, 第{index}" for index in range(ROWS)]
    prompts[2] = prompts[6] = ""
    columns = {
        "id": [f"x.{index}" for index in range(ROWS)],
        "prompt": prompts,
        "note": [None] * 8 + ["late"] * 6,
        "score": [None] * 8 + [0.5] * 6,
    }
    path = Path(table(columns)).parent / request.param
    inline(job(table(columns), path, shard_rows=4, output_format=request.param, report=True))  # it is in nobody's way
    return path


def test_datasets_reads_the_whole_output(output: Path, tmp_path: Path) -> None:
    """As from the hub: no builder named, everything by the card."""
    found = datasets.load_dataset(str(output), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(found) == ROWS - 2
    in_tars = output.name == "webdataset"
    # `datasets` promises no order for the metadata files of an imagefolder.
    row = next(row for row in found if (row["json"] if in_tars else row)["row"] == 13)
    picture, about = (row["png"], row["json"]) if in_tars else (row["image"], row)
    assert picture.size == (64, 64) and about["text"] == "a picture, 第13"
    assert about["note"] == "late" and about["score"] == 0.5 and about["id"] == "x.13"


def test_datasets_tells_two_outputs_of_one_name_apart(
    tmp_path: Path, table: Callable[..., str], inline: Callable[..., Summary]
) -> None:
    """Its cache goes by the folder's name and the card's configuration, not by the files."""
    texts = []
    for place in ("a", "b"):
        prompts = table({"prompt": [f"a picture of {place}"]}, f"{place}.parquet")
        inline(job(prompts, tmp_path / place / "same"))
        found = datasets.load_dataset(str(tmp_path / place / "same"), split="train", cache_dir=str(tmp_path / "cache"))
        texts.append(found[0]["text"])
    assert texts == ["a picture of a", "a picture of b"]


def test_datasets_reads_it_by_builder(output: Path, tmp_path: Path) -> None:
    where: dict[str, dict[str, str]] = {
        "imagefolder": {"data_dir": str(output)},
        "webdataset": {"data_files": f"{output}/data/*.tar"},
        "parquet": {"data_files": f"{output}/data/*.parquet"},
    }
    found = datasets.load_dataset(output.name, split="train", cache_dir=str(tmp_path / "c"), **where[output.name])
    assert len(found) == ROWS - 2
    first = found[0]
    assert isinstance(first["png" if output.name == "webdataset" else "image"], Image.Image)


def test_webdataset_reads_the_tars(output: Path) -> None:
    if output.name != "webdataset":
        pytest.skip("tar shards only")
    shards = f"{output}/data/{{00000..00003}}.tar"
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil").to_tuple("png", "txt", "json"))
    assert [row["row"] for _, _, row in samples] == [row for row in range(ROWS) if row not in (2, 6)]
    picture, text, row = samples[0]
    assert picture.size == (64, 64) and text == row["text"] == "a picture, 第0"


def test_duckdb_reads_manifest_and_data(output: Path) -> None:
    counts = duckdb.sql(
        f"select status, count(*) from '{output}/manifest/*.parquet' group by all order by 1"
    ).fetchall()
    assert counts == [("failed", 2), ("success", ROWS - 2)]
    if output.name == "parquet":
        rows = duckdb.sql(f"select row, image.bytes from '{output}/data/*.parquet' order by row").fetchall()
        assert len(rows) == ROWS - 2 and Image.open(io.BytesIO(rows[0][1])).size == (64, 64)


def test_the_card_is_valid(output: Path) -> None:
    text = (output / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head)["configs"][0]["data_files"][0]["split"] == "train"
    assert "12 pictures made from 14 prompts" in body and "| failed: `empty_prompt` | 2 |" in body
    with Image.open(output / ".card/samples.png") as grid:
        assert grid.size == (512, 384)
    assert "![Samples" in body


def test_croissant_reads_the_rows(output: Path) -> None:
    assert json.loads((output / "croissant.json").read_text())["conformsTo"].endswith("croissant/1.0")
    dataset = mlcroissant.Dataset(jsonld=str(output / "croissant.json"))
    assert not dataset.metadata.issues.errors
    rows = list(dataset.records("manifest"))
    assert len(rows) == ROWS
    assert {row["manifest/status"] for row in rows} == {b"success", b"failed"}
