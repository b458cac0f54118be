"""FID's Inception: the published layout, the published arithmetic, strict and safe loading, and the command.

What is pinned was computed by torch-fidelity 0.4.0, whose features were the same to the bit, from these weights.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from imagen_model.catalog import ModelNotFound
from imagen_model.inception import Inception
from imagen_model.inception_weights import load_inception
from jobs.evaluate import evaluate_command

LAYOUT = "bd04e829988dd22d"
EXPECTED = {
    (256, 256): [2.88055, 0.96394, 16.18995, 12.45927],
    (64, 64): [2.93842, 1.19191, 16.41495, 12.03068],
    (500, 300): [2.94925, 1.03373, 15.75382, 12.53059],
}


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """Random ones under the names of the published file, which has no counters of training steps."""
    random = np.random.default_rng(5)
    found = {}
    for name, value in sorted(Inception().state_dict().items()):
        shape = tuple(value.shape)
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith(("running_var", "bn.weight")):
            drawn = random.uniform(0.5, 1.5, shape)
        elif name.endswith("conv.weight"):
            drawn = random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        else:
            drawn = random.standard_normal(shape) * 0.1
        found[name] = torch.from_numpy(np.asarray(drawn, np.float32))
    return found


@pytest.fixture(scope="module")
def file(weights: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(weights, path)
    return path


def test_the_layout_is_that_of_the_published_weights(weights: dict[str, torch.Tensor]) -> None:
    lines = "\n".join(f"{name} {list(value.shape)}" for name, value in sorted(weights.items()))
    assert len(weights) == 472 and hashlib.sha256(lines.encode()).hexdigest()[:16] == LAYOUT


@pytest.mark.parametrize("size", EXPECTED)
def test_features_are_another_implementations(file: Path, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(7).integers(0, 256, (2, 3, *size), np.uint8).transpose(0, 2, 3, 1)
    found = load_inception(file, "cpu").features([Image.fromarray(one) for one in pixels])
    assert found.shape == (2, 2048) and found.dtype == np.float64
    np.testing.assert_allclose(found[0, :4], EXPECTED[size], rtol=1e-4)


def test_safetensors_in_a_folder_are_the_same(weights: dict[str, torch.Tensor], file: Path, tmp_path: Path) -> None:
    save_file(weights, tmp_path / "inception.safetensors")
    images = [Image.new("RGB", (40, 30), (200, 20, 90)), Image.new("L", (20, 20), 7)]  # of two sizes
    one, other = (load_inception(place, "cpu").features(images) for place in (file, tmp_path))
    assert np.array_equal(one, other) and not np.array_equal(one[0], one[1])


def test_other_files_are_refused_by_what_is_wrong(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    wrong = {name: value for name, value in weights.items() if name != "fc.bias"} | {"AuxLogits.fc.bias": torch.ones(1)}
    wrong["Conv2d_1a_3x3.conv.weight"] = torch.ones(32, 3, 5, 5)
    torch.save(wrong, tmp_path / "a.pth")
    with pytest.raises(ModelNotFound) as refusal:
        load_inception(tmp_path / "a.pth")
    for words in ("missing: fc.bias (1)", "unknown: AuxLogits.fc.bias", "shape: Conv2d_1a_3x3.conv.weight"):
        assert words in str(refusal.value)
    torch.save({"state": print}, tmp_path / "code.pth")  # more than tensors: it is not even unpickled
    (tmp_path / "text.safetensors").write_text("no weights")
    for name, words in [
        ("code.pth", "cannot be read as weights"),
        ("text.safetensors", "cannot be read as weights"),
        ("none.pth", "there is no file"),
        (".", "must hold one file of weights"),
    ]:
        with pytest.raises(ModelNotFound, match=words):
            load_inception(tmp_path / name)
    torch.save(weights | {"fc.bias": torch.full((1008,), torch.nan)}, tmp_path / "nan.pth")
    with pytest.raises(ModelNotFound, match="not finite"):
        load_inception(tmp_path / "nan.pth")


def test_the_command_reports_fid_and_kid_beside_those_of_drawings(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate_command("flat-colour", 2, 0, None, "cpu", None, None, None, file, as_json=True) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["inception"]
    assert found["count"] == 26 and found["name"].startswith("weights.pth, sha256 ")
    distances = found["distances"]
    assert distances["frechet"] > 2 * distances["drawings_frechet"] > 0
    assert distances["kernel"] > distances["drawings_kernel"]
