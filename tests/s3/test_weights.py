"""`--model s3://bucket/models/imagen-small`: the command takes the weights from a bucket, once."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from imagen_model import Imagen
from imagen_model.catalog import BUNDLED, ModelNotFound, find_model
from pipelines.encoding import Encoder
from pipelines.errors import WeightsError
from pipelines.manifest import read_manifest
from pipelines.storage import open_store
from pipelines.weights import find_source

from .conftest import new_bucket


@pytest.fixture(scope="module")
def uploaded(gateway: Path) -> str:
    """The URL of the bundled model in a bucket."""
    models = f"{new_bucket()}/models"
    for path in (BUNDLED / "imagen-small").rglob("*"):
        if path.is_file():
            open_store(models).put_file(path.relative_to(BUNDLED).as_posix(), path)
    return f"{models}/imagen-small"


@pytest.fixture
def model(uploaded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same; the cache is empty."""
    monkeypatch.setenv("IMAGEGEN_CACHE", str(tmp_path / "cache"))
    return uploaded


def test_a_run_with_weights_from_the_bucket(bucket: str, model: str, table: Callable[..., str], tmp_path: Path) -> None:
    prompts = table({"prompt": ["a red circle", "two blue squares"], "seed": [1, 2]})
    command = [sys.executable, "-c", "from jobs.cli import main; main()", "generate", prompts]
    run = subprocess.run(
        [*command, f"{bucket}/run", "--model", model, "--workers", "2", "--shard-rows", "1"],
        capture_output=True,
        text=True,
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        timeout=500,
    )
    assert run.returncode == 0, run.stderr
    made = [read_manifest(open_store(f"{bucket}/run"), n).to_pylist()[0] for n in (0, 1)]
    bundled = Imagen.from_pretrained("imagen-small").generate_images(["a red circle", "two blue squares"], seeds=[1, 2])
    revision = find_model("imagen-small").revision
    assert [(e["model"], e["model_revision"], e["sha256"]) for e in made] == [
        ("imagen-small", revision, hashlib.sha256(Encoder("png").encode(picture)).hexdigest()) for picture in bundled
    ]
    assert len([path for path in (tmp_path / "cache/models").iterdir() if path.is_dir()]) == 1


def test_what_the_driver_sees_and_what_changed(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_source(model)
    assert (found.name, found.revision) == ("imagen-small", find_model("imagen-small").revision)
    assert find_source(model) == found
    store = open_store(model)
    before = store.read("tokenizer_config.json")
    store.put("tokenizer_config.json", b"{}")
    try:
        assert find_source(model).revision != found.revision
        monkeypatch.setenv("IMAGEGEN_CACHE", str(tmp_path / "another node"))
        with pytest.raises(WeightsError, match=r"tokenizer_config\.json has changed since the run began: sha256"):
            found.load()
    finally:
        store.put("tokenizer_config.json", before)


def test_what_is_not_there(bucket: str) -> None:
    with pytest.raises(ModelNotFound, match="nothing is there; check the URL"):
        find_source(f"{bucket}/models/none")
    with pytest.raises((ModelNotFound, WeightsError), match="no-such-bucket-here"):
        find_source("s3://no-such-bucket-here/model")


def test_a_key_that_may_not_read(model: str) -> None:
    code = f"from pipelines.weights import find_source; find_source({model!r})"
    wrong = {**os.environ, "AWS_SECRET_ACCESS_KEY": "wrong"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=wrong, timeout=300)
    (last,) = run.stderr.strip().splitlines()[-1:]
    assert last.startswith("pipelines.errors.WeightsError") and "check the URL, credentials and network" in last
