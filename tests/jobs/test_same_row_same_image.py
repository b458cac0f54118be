"""The first promise, with the real model through the real command: bytes do not depend on how a job is run."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from imagen_model import Imagen
from pipelines.encoding import Encoder

from .test_command_line import imagegen

PROMPTS = ["a red circle", "three blue squares", "a meadow at sunset", "two green hearts on a black background"]


def hashes_by_id(output: Path) -> dict[str, str]:
    table = pq.read_table(output / "manifest")
    assert set(table["status"].to_pylist()) == {"success"}
    return dict(zip(table["id"].to_pylist(), table["sha256"].to_pylist(), strict=True))


def write_rows(path: Path, order: list[int]) -> Path:
    columns = {
        "id": [f"row-{number}" for number in order],
        "prompt": [f"{PROMPTS[number % 4]}, number {number}" for number in order],
        "guidance_scale": [2.0 if number % 5 == 0 else 1.0 for number in order],
    }
    pq.write_table(pa.table(columns), path)
    return path


def test_bytes_depend_on_the_row_alone(tmp_path: Path) -> None:
    order = list(range(11))
    table = write_rows(tmp_path / "prompts.parquet", order)
    mixed = list(order)
    random.Random(3).shuffle(mixed)
    shuffled = write_rows(tmp_path / "shuffled.parquet", mixed)
    plain, parts = tmp_path / "plain", tmp_path / "shuffled, in parts"
    runs = [
        (plain, table, ["--workers", "1", "--batch-size", "16"]),
        # A few rows, one at a time; then the rest on two workers.
        (parts, shuffled, ["--shard-rows", "3", "--limit", "4", "--workers", "1", "--batch-size", "1"]),
        (parts, shuffled, ["--shard-rows", "3", "--workers", "2", "--batch-size", "2"]),
    ]
    for out, prompts, options in runs:
        run = imagegen("generate", str(prompts), str(out), *options)
        assert run.returncode == 0, run.stderr
    found = hashes_by_id(plain)
    assert hashes_by_id(parts) == found and len(found) == len(order)
    # Two seeds may well draw the same small meadow; all the same they would not.
    assert len(set(found.values())) > len(order) // 2

    manifest = pq.read_table(plain / "manifest").to_pylist()
    row = manifest[7]
    image = Imagen.from_pretrained("imagen-small").generate_image(
        row["prompt"], seed=row["seed"], guidance_scale=row["guidance_scale"]
    )
    assert hashlib.sha256(Encoder("png").encode(image)).hexdigest() == row["sha256"]
