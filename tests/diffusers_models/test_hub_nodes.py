"""A hub's model on a node that is not the driver's: fetched there, checked, or refused by words that help."""

from __future__ import annotations

import pickle
import shutil
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from huggingface_hub import constants
from PIL import Image

from imagen_model.captioner_source import find_captioner
from imagen_model.catalog import find_model
from imagen_model.generation import GenerationRequest
from imagen_model.hub_model import HubModel
from imagen_model.open_models.folder import UnusableModel
from imagen_model.open_models.options import ModelOptions

from .hub_server import COMMIT, hub_of

WHITE = Image.new("RGB", (64, 64), "white")
REQUEST = [GenerationRequest("a", 1, num_inference_steps=1)]


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], Path]:
    """Makes this process one of the node of that name, which has a cache of its own and asks the hub at the address."""

    def become(name: str, address: str) -> Path:
        cache = tmp_path / name
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # which it is for all other tests
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        return cache

    return become


def test_every_node_fetches_for_itself(
    model: Callable[[str], Path], node: Callable[[str, str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "repository"
    shutil.copytree(model("stable_diffusion"), folder)
    (folder / "notes.md").write_text("no part of the model")
    unet = folder / "unet/diffusion_pytorch_model.safetensors"
    with hub_of(folder, "somebody/tiny", {"main", COMMIT}, gated="somebody/gated") as (address, fetched):
        driver = node("driver", address)
        found = find_model("somebody/tiny@main", ModelOptions(dtype="float32"))
        assert isinstance(found, HubModel) and found.snapshot.commit == COMMIT
        sent = pickle.dumps(found)
        count = len(fetched)
        here = found.load(device="cpu").generate(REQUEST)[0]
        assert len(fetched) == count and "notes.md" not in fetched
        shutil.rmtree(driver)

        node("worker", address)
        there = pickle.loads(sent).load(device="cpu").generate(REQUEST)[0]
        assert here.image.tobytes() == there.image.tobytes() and len(fetched) == 2 * count
        node("other", address)
        unet.write_bytes(unet.read_bytes() + b" ")
        with pytest.raises(UnusableModel, match=f"as {socket.gethostname()} fetched it is not what the run began with"):
            pickle.loads(sent).load(device="cpu")
    node("offline", address)
    with pytest.raises(UnusableModel, match=f"cannot be fetched from the hub on {socket.gethostname()}"):
        pickle.loads(sent).load(device="cpu")


def test_a_cascade_and_a_model_of_ours_are_fetched_whole(
    model: Callable[[str], Path], node: Callable[[str, str], Path], tmp_path: Path
) -> None:
    cascade = tmp_path / "cascade"
    for number in (1, 2):
        shutil.copytree(model("deepfloyd_if") / f"stage_{number}", cascade / f"stage_{number}")
    (cascade / "stage_1/unet/pytorch_model.bin").write_bytes(b"pickled")
    native = Path(find_model("imagen-small").folder)
    with ExitStack() as hubs:
        address, fetched = hubs.enter_context(hub_of(cascade, "somebody/if", {"main", COMMIT}, gated="x/y"))
        node("driver", address)
        found = find_model("somebody/if")
        assert found.rules.sizes == ((16, 16), (8, 8)) and found.revision == find_model(str(cascade)).revision
        assert not any(name.endswith(".bin") for name in fetched)
        address, _ = hubs.enter_context(hub_of(native, "somebody/ours", {"main", COMMIT}, gated="x/y"))
        node("second", address)
        ours = find_model("somebody/ours")
        assert isinstance(ours, HubModel) and ours.revision == find_model("imagen-small").revision
        reads = pickle.dumps(find_captioner("somebody/ours"))
        third = node("third", address)
        assert (ours.folder() / "config.json").is_file()
        shutil.rmtree(third)
        here, there = find_captioner("imagen-small").load(device="cpu"), pickle.loads(reads).load(device="cpu")
        assert there.caption([WHITE]) == here.caption([WHITE]) and any(third.rglob("captioner"))
    node("offline", address)
    with pytest.raises(UnusableModel, match=f"cannot be fetched from the hub on {socket.gethostname()}"):
        pickle.loads(reads).load(device="cpu")


def test_a_folder_that_another_node_lacks_is_named(model: Callable[[str], Path], tmp_path: Path) -> None:
    for name, where in (("diffusers", model("stable_diffusion")), ("ours", Path(find_model("imagen-small").folder))):
        copy = Path(shutil.copytree(where, tmp_path / name))
        source = find_model(str(copy))
        shutil.rmtree(copy)
        with pytest.raises(UnusableModel, match=f"no folder {copy} on {socket.gethostname()}"):
            source.load(device="cpu")


def test_adapters_are_absolute_wherever_a_command_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ModelOptions(lora=["style.safetensors=0.5", "other"])
    monkeypatch.chdir("/")
    assert options.pinned() == {"lora": [f"{tmp_path}/style.safetensors=0.5", f"{tmp_path}/other"]}
    assert ModelOptions.of(options.pinned()) == options
