"""A job whose pictures a running server makes: the bytes of a job with its own workers, failures with their codes."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from imagen_model import Imagen
from imagen_model.catalog import ModelNotFound
from imagen_model.generation import GenerationRequest, GreyPicture, Success
from imagen_model.imagen_generator import ImagenGenerator
from pipelines.encoding import Encoder
from pipelines.endpoint import find_endpoint
from pipelines.errors import EndpointUnavailable
from tests.jobs.test_command_line import imagegen

from .conftest import Server


def test_a_job_through_a_server(imagen_server: Server, tmp_path: Path) -> None:
    prompts = ["a red circle", "", "three blue squares", "x" * 10_001, "a green cross"]
    pq.write_table(pa.table({"prompt": prompts, "seed": [7, 8, 9, 10, 11]}), tmp_path / "p.parquet")
    out = tmp_path / "out"
    extras = ["--best-of", "2", "--post-processing", "upscale=300x280, denoise"]
    run = imagegen("generate", str(tmp_path / "p.parquet"), str(out), "--endpoint", imagen_server.url, *extras)
    assert run.returncode == 3, run.stderr
    rows = pq.read_table(out / "manifest").sort_by("row").to_pylist()
    assert [row["error_code"] for row in rows] == [None, "empty_prompt", None, "prompt_too_long", None]
    pictures = Imagen.from_pretrained("imagen-small").generate_images(
        [prompts[row] for row in (0, 2, 4)], seeds=[7, 9, 11], best_of=2, post_processing="upscale=300x280, denoise"
    )
    found = [(out / row["file_name"]).read_bytes() for row in rows if row["status"] == "success"]
    assert found == [Encoder("png").encode(picture) for picture in pictures]
    assert rows[0]["model_revision"] == find_endpoint(imagen_server.url, "imagen-small").revision


def test_grey_pictures_through_a_server(imagen_server: Server, tmp_path: Path) -> None:
    values = np.arange(768, dtype=np.uint8).reshape(24, 32)
    grey = GreyPicture.of(Image.fromarray(values))
    model = find_endpoint(imagen_server.url, "imagen-small")
    request = GenerationRequest("a red circle", 5, width=16, height=16, post_processing="colorize", grey=grey)
    (found,) = model.load(1).generate([request])
    (expected,) = ImagenGenerator(Imagen.from_pretrained("imagen-small")).generate([request])
    assert isinstance(found, Success) and isinstance(expected, Success)
    assert found.image.tobytes() == expected.image.tobytes()


def test_what_is_no_server_or_serves_other_models(imagen_server: Server, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="does not serve 'sdxl'; give one of its models: imagen-small"):
        find_endpoint(imagen_server.url, "sdxl")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(EndpointUnavailable, match="no good answer within 5 s"):
            find_endpoint(url, "imagen-small")
