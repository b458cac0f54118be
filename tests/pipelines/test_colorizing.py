"""Rows that bring a grey picture: where it may be, what it becomes, and what is wrong with it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import entries, images
from PIL import Image

from imagen_model import Imagen
from imagen_model.catalog import find_model
from pipelines.batch import run_batch
from pipelines.encoding import Encoder
from pipelines.errors import InvalidJob
from pipelines.job import BatchJob, Pool
from pipelines.retry import retry_failed
from pipelines.verify import verify

Table = Callable[..., str]


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(shade).integers(0, 256, (24, 24), np.uint8)).save(file, "PNG")
    return file.getvalue()


def job(prompts: str, output: Path, **settings: Any) -> BatchJob:
    small = {"width": 16, "height": 16, "post_processing": "colorize", "report": False}
    return BatchJob(prompts, str(output), pool=Pool(workers=1, batch_size=4), **(small | settings))


def test_pictures_by_path_by_url_and_as_bytes_are_colorized(table: Table, inline: Any, tmp_path: Path) -> None:
    (tmp_path / "greys").mkdir()
    (tmp_path / "greys/a.png").write_bytes(png(10))
    (tmp_path / "broken.png").write_bytes(png(10)[:90])
    paths = ["greys/a.png", f"file://{tmp_path}/greys/a.png", str(tmp_path / "greys/a.png"), "broken.png", "b.png", ""]
    path = table({"prompt": ["a red circle"] * 6, "seed": [4] * 6, "grey_image": paths, "n": [1, 1, 1, 1, 2, 1]})
    out, source = tmp_path / "out", find_model("imagen-small")
    inline(job(path, out, shard_rows=3), source)
    found = entries(out)
    assert [entry["error_code"] for entry in found] == [None] * 3 + ["invalid_image"] * 2 + ["invalid_parameter"]
    assert [entry["grey_image"] for entry in found] == [*paths[:5], None]
    assert found[0]["grey_image_sha256"] == hashlib.sha256(png(10)).hexdigest()
    assert "b.png is missing; put it there" in found[4]["error_message"]
    model = Imagen.from_pretrained("imagen-small")
    grey = Image.open(io.BytesIO(png(10)))
    expected = Encoder("png").encode(model.colorize(grey, "a red circle", seed=4, width=16, height=16))
    assert set(images(out).values()) == {expected} and len(images(out)) == 3

    (tmp_path / "b.png").write_bytes(png(60))  # both images of the row, whose one entry said that it failed
    retry_failed(str(out), source=source)
    assert [entry["error_code"] for entry in entries(out)] == [None] * 3 + ["invalid_image", None, None] + [
        "invalid_parameter"
    ]
    assert verify(str(out)).ok

    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  # Hugging Face's images
    structs = [
        {"bytes": png(10), "path": "x.png"},
        {"bytes": None, "path": "greys/a.png"},
        {"bytes": b"", "path": None},
    ]
    columns = {"prompt": ["a red circle"] * 3, "seed": [4] * 3, "grey_image": pa.array(structs, kind)}
    inline(job(table(columns, "structs.parquet"), tmp_path / "more"), source)
    found = entries(tmp_path / "more")
    assert [(entry["grey_image"], entry["error_code"]) for entry in found] == [
        ("x.png", None), ("greys/a.png", None), (None, "invalid_image")
    ]  # fmt: skip
    assert set(images(tmp_path / "more").values()) == {expected}


def test_a_model_that_cannot_is_refused_before_any_work(table: Table, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidJob, match="colorize is not offered here; it needs a model whose base is a pixel_decoder"
    ):
        run_batch(job(table({"prompt": ["a"]}), tmp_path / "out", model="flat-colour", width=None, height=None))
