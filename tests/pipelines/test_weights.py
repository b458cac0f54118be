"""A model at a URL: the bundled one's pictures, one fetch a node, and no damaged or half file ever taken for whole."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from conftest import entries, images
from slow_weights import SlowFileSystem

from imagen_model.catalog import BUNDLED, ModelNotFound, find_model
from pipelines.errors import WeightsError
from pipelines.job import BatchJob
from pipelines.model_cache import ModelCache, cache_folder
from pipelines.progress import Summary
from pipelines.weights import PIECE, STREAMS, Bucket, RemoteModel, find_remote, find_source

Table = Callable[..., str]
MODEL = BUNDLED / "imagen-small"
FILES = {path.relative_to(MODEL).as_posix() for path in MODEL.rglob("*") if path.is_file() and path.suffix != ".md"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMAGEGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/models"


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The bundled model under another address."""
    root = "memory://models" if request.param == "memory" else f"file://{tmp_path}/models"
    filesystem, path = fsspec.url_to_fs(root)
    for file in (BUNDLED / "imagen-small").rglob("*"):
        if file.is_file():
            target = f"{path}/{file.relative_to(BUNDLED).as_posix()}"
            filesystem.makedirs(target.rpartition("/")[0], exist_ok=True)
            filesystem.pipe_file(target, file.read_bytes())
    yield f"{root}/imagen-small"
    filesystem.rm(path, recursive=True)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder of a model with a config that is right and weights that nothing reads."""
    folder = tmp_path / "bucket/my-model"
    folder.mkdir(parents=True)
    shutil.copy(BUNDLED / "imagen-small/config.json", folder)
    (folder / "model.safetensors").write_bytes(os.urandom(PIECE + 1000))
    (folder / "README.md").write_text("read by nobody")
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def forget(cache: Path) -> None:
    """As on another node."""
    shutil.rmtree(cache)


def test_the_bundled_models_pictures(table: Table, inline: Callable[..., Summary], tmp_path: Path, url: str) -> None:
    path = table({"prompt": ["a red circle", "two blue squares"], "model": [None, f"{url}/"]})
    inline(BatchJob(path, str(tmp_path / "bundled")), find_model("imagen-small"))
    inline(BatchJob(path, str(tmp_path / "fetched"), model=f"{url}/"), find_source(f"{url}/"))
    first, second = entries(tmp_path / "fetched")
    assert first["model"] == "imagen-small" and first["status"] == second["status"] == "success"
    assert first["model_revision"] == find_model("imagen-small").revision
    bundled = images(tmp_path / "bundled")
    assert {name: images(tmp_path / "fetched")[name] for name in bundled} == bundled and len(bundled) == 1


def test_what_is_known_of_it_and_what_is_fetched(url: str, cache: Path) -> None:
    found, bundled = find_remote(url), find_model("imagen-small")
    assert (found.name, found.revision, found.rules) == ("imagen-small", bundled.revision, bundled.rules)
    assert {file.name for file in found.files} == FILES
    sent: RemoteModel = pickle.loads(pickle.dumps(found))
    forget(cache)
    assert files_of(sent.folder()) == {name: (MODEL / name).read_bytes() for name in FILES}


def test_names_and_folders_are_found_as_before() -> None:
    assert find_source("flat-colour") == find_model("flat-colour")
    assert find_source(str(BUNDLED / "imagen-small")).name == "imagen-small"


@pytest.mark.parametrize("fixture", ["driver", "worker"])
def test_a_file_that_was_cut_off_is_fetched_again(weights: Path, cache: Path, fixture: str) -> None:
    found = find_remote(f"file://{weights}")
    kept = found.folder()
    whole = files_of(kept)
    (kept / "model.safetensors").write_bytes(whole["model.safetensors"][:-1])
    if fixture == "driver":
        found = find_remote(f"file://{weights}")
    assert found.folder() == kept and files_of(kept) == whole
    (kept / "config.json").unlink()
    assert files_of(found.folder()) == whole


def test_a_damaged_file_of_the_right_size_is_found_by_the_driver(weights: Path) -> None:
    kept = find_remote(f"file://{weights}").folder()
    whole = files_of(kept)
    (kept / "model.safetensors").write_bytes(whole["model.safetensors"][:-1] + b"?")
    find_remote(f"file://{weights}")
    assert files_of(kept) == whole


def test_the_driver_fetches_once(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    monkeypatch.setattr(SlowFileSystem, "log", log)
    first = find_remote(f"slow://{weights}")
    reads = log.read_text()
    assert reads.count("model.safetensors") == 2 and "README" not in reads
    assert find_remote(f"slow://{weights}") == first and log.read_text() == reads
    (weights / "model.safetensors").write_bytes(b"new")
    changed = find_remote(f"slow://{weights}")
    assert changed.revision != first.revision
    assert first.folder() != changed.folder(), "a worker may still read the old ones"


def test_weights_that_changed_since_are_refused(weights: Path, cache: Path) -> None:
    found = find_remote(f"file://{weights}")
    (before,) = [file.sha256 for file in found.files if file.name == "model.safetensors"]
    (weights / "model.safetensors").write_bytes(b"changed")
    (after,) = [f.sha256 for f in find_remote(f"file://{weights}").files if f.name == "model.safetensors"]
    forget(cache)
    words = rf"my-model/model\.safetensors has changed.* sha256 {before[:16]} then, {after[:16]} now; put the old file"
    with pytest.raises(WeightsError, match=words):
        found.folder()
    assert [path.name for path in cache.iterdir()] == ["lock"], "nothing is kept"
    (weights / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="is gone since the run began"):
        found.folder()
    shutil.rmtree(weights)
    with pytest.raises(WeightsError, match="it was there when the run began"):
        found.folder()


def test_weights_that_change_while_they_are_fetched(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changing(self: SlowFileSystem, path: str, start: int, end: int, **options: Any) -> bytes:
        (weights / "tokenizer.json").write_text("{}")
        return Path(path).read_bytes()[start:end]

    monkeypatch.setattr(SlowFileSystem, "cat_file", changing)
    with pytest.raises(WeightsError, match="changed while it was fetched; run the same command"):
        find_remote(f"slow://{weights}")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("file://{bucket}/none", "nothing is there; check the URL"),
        (
            "file://{bucket}/text",
            r"holds words\.txt, but no config\.json or model_index\.json; give a folder",
        ),
        ("file://{bucket}/empty", "nothing is there; check the URL"),
        ("file://{bucket}/bert", "model of type 'bert', not 'imagen'"),
        ("file://{bucket}/damaged", r"config\.json of file://.* is damaged"),
        ("nosuch://bucket/model", "Protocol not known"),
        ("s3://", "names no folder; give one like s3://bucket/models/imagen-small"),
    ],
)
def test_what_is_no_model(tmp_path: Path, cache: Path, address: str, words: str) -> None:
    for name, files in {
        "text": {"words.txt": "x"},
        "empty": {},
        "bert": {"config.json": '{"model_type": "bert"}', "model.safetensors": "x"},
        "damaged": {"config.json": '["imagen"]'},
    }.items():
        (tmp_path / "bucket" / name).mkdir(parents=True)
        for file, text in files.items():
            (tmp_path / "bucket" / name / file).write_text(text)
    with pytest.raises(ModelNotFound, match=words):
        find_source(address.format(bucket=tmp_path / "bucket"))
    assert not cache.exists() or [path.name for path in cache.iterdir()] == ["lock"]


def test_names_that_lead_out_of_the_folder_are_not_fetched() -> None:
    filesystem = fsspec.filesystem("memory")
    filesystem.store["/evil/m/../../../escaped.json"] = filesystem.open("/x", "wb")
    try:
        assert Bucket("memory://evil/m").list() == {}
    finally:
        filesystem.store.clear()


def test_a_cache_that_cannot_be_written(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("IMAGEGEN_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=r"cannot be kept in .*file/models.*set IMAGEGEN_CACHE to another folder"):
        find_remote(f"file://{weights}")


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("IMAGEGEN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg/imagegen"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache/imagegen"


def test_a_large_file_never_lies_in_memory(tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    with (tmp_path / "bucket/model.safetensors").open("wb") as file:
        file.truncate(16 * PIECE + 5)
    tracemalloc.start()
    try:
        Bucket(f"file://{tmp_path}/bucket").fetch("model.safetensors", 16 * PIECE + 5, tmp_path / "to")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (2 * STREAMS + 1) * PIECE
    assert (tmp_path / "to/model.safetensors").stat().st_size == 16 * PIECE + 5


def fetching(model: Path, seconds: float, log: Path) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("slow_weights.py")
    command = [sys.executable, str(script), str(model), str(seconds), str(log)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "too slow"
        time.sleep(0.01)


@pytest.fixture
def sent(weights: Path, tmp_path: Path, cache: Path) -> Path:
    """A pickled model as a worker on a node without it gets it."""
    (tmp_path / "sent").write_bytes(pickle.dumps(find_remote(f"slow://{weights}")))
    forget(cache)
    return tmp_path / "sent"


def test_two_workers_at_once_fetch_once(sent: Path, tmp_path: Path, weights: Path) -> None:
    workers = [fetching(sent, 1.0, tmp_path / "log") for _ in range(2)]
    places = []
    for worker in workers:
        out, err = worker.communicate(timeout=60)
        assert worker.returncode == 0, err
        places.append(out.strip())
    reads = (tmp_path / "log").read_text().split("\n")
    assert sorted(filter(None, reads)) == ["config.json 0", "model.safetensors 0", f"model.safetensors {PIECE}"]
    assert places[0] == places[1]
    assert (Path(places[0]) / "model.safetensors").read_bytes() == (weights / "model.safetensors").read_bytes()


def test_a_kill_in_the_middle(sent: Path, tmp_path: Path, weights: Path, cache: Path) -> None:
    log = tmp_path / "log"
    worker = fetching(sent, 30.0, log)
    wait_for(lambda: log.exists() and "model.safetensors" in log.read_text(), worker)
    waiting = fetching(sent, 0.0, tmp_path / "other")
    time.sleep(2)  # it should stand before the lock, though what follows holds wherever it is
    assert waiting.poll() is None and not (tmp_path / "other").exists()
    worker.send_signal(signal.SIGKILL)
    worker.communicate(timeout=60)
    out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, err
    assert (Path(out.strip()) / "model.safetensors").read_bytes() == (weights / "model.safetensors").read_bytes()
    assert (tmp_path / "other").read_text().count("model.safetensors") == 2, "nothing of the killed one is taken"
    assert not (cache / "part").exists() and len([path for path in cache.iterdir() if path.is_dir()]) == 1


def test_what_a_killed_one_left_is_swept(sent: Path, tmp_path: Path, cache: Path) -> None:
    log = tmp_path / "log"
    worker = fetching(sent, 30.0, log)
    wait_for(log.exists, worker)
    worker.send_signal(signal.SIGKILL)
    worker.communicate(timeout=60)
    assert (cache / "part").exists()
    model: RemoteModel = pickle.loads(sent.read_bytes())
    assert not ModelCache().holds(model.files)
    assert {path.name for path in model.folder().iterdir()} == {"config.json", "model.safetensors"}
    assert not (cache / "part").exists()
