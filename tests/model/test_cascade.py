"""A cascade: one folder, the same picture in any company, every size from the right stage, previews, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from imagen_model import Imagen, ImagenConfig, stages
from imagen_model.catalog import BUNDLED, find_model, rules_from_config
from imagen_model.denoiser_config import DenoiserConfig
from imagen_model.denoising_unet import DenoisingUNet
from imagen_model.generation import Failure, GenerationRequest, Success
from imagen_model.imagen_generator import ImagenGenerator
from imagen_model.published import PUBLISHED_PARAMETERS, published_config

from .conftest import LARGE_STAGE, SMALL_STAGE, TINY


def pictures(model: Imagen, requests: list[GenerationRequest]) -> list[bytes]:
    results = ImagenGenerator(model).generate(requests)
    assert all(isinstance(result, Success) for result in results), results
    return [result.image.tobytes() for result in results if isinstance(result, Success)]


@pytest.mark.parametrize("kind", ["cascade", "denoising"])
@pytest.mark.parametrize("tile", [1, 4])
def test_a_picture_is_the_same_in_any_company(
    kind: str, tile: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "CPU_STAGE_TILE", tile)  # 4: as on a GPU, where short tiles are filled up
    model = request.getfixturevalue(kind)
    wanted = [
        GenerationRequest("a red circle", 11),
        GenerationRequest("a blue square", 12, guidance_scale=1.0),
        GenerationRequest("a red circle " * 12, 13, num_inference_steps=2),
    ]
    alone = [pictures(model, [one])[0] for one in wanted]
    assert len(set(alone)) == len(alone)
    others = [GenerationRequest(f"a picture of {n}", n, guidance_scale=1.0 + n % 2) for n in range(5)]
    for crowd in ([*others[:2], wanted[0]], [others[0], *wanted, *others[1:]]):
        made = pictures(model, crowd)
        for one, picture in zip(wanted, alone, strict=True):
            if one in crowd:
                assert made[crowd.index(one)] == picture


def test_seed_steps_and_prompt_reach_every_stage(cascade: Imagen) -> None:
    plain = GenerationRequest("a red circle", 1, temperature=0.0)
    changed = [
        GenerationRequest("a red circle", 2, temperature=0.0),
        GenerationRequest("a red circle", 1, temperature=0.0, num_inference_steps=1),
        GenerationRequest("a red circle", 1, temperature=0.0, negative_prompt="a blue square"),
    ]
    first, *rest = pictures(cascade, [plain, *changed])
    assert len({first, *rest}) == 4


def test_a_saved_cascade_is_one_folder_that_draws_the_same(cascade: Imagen, tmp_path: Path) -> None:
    cascade.save_pretrained(tmp_path)
    loaded = Imagen.from_pretrained(tmp_path)
    assert loaded.config.stages == [DenoiserConfig.of(SMALL_STAGE), DenoiserConfig.of(LARGE_STAGE)]
    for name, parameter in cascade.state_dict().items():
        assert torch.equal(parameter, loaded.state_dict()[name]), name
    assert loaded.generate_image("a red circle", 3).tobytes() == cascade.generate_image("a red circle", 3).tobytes()
    assert find_model(str(tmp_path)).rules == ImagenGenerator(cascade).rules


def test_a_cascade_loads_strictly(cascade: Imagen, tmp_path: Path) -> None:
    cascade.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["super_resolution.1.head.weight"]
    weights["super_resolution.0.stem.weight"] = torch.zeros(2, 2)
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises((ValueError, RuntimeError)) as caught:
        Imagen.from_pretrained(tmp_path)
    assert "super_resolution.1.head.weight" in str(caught.value)
    assert "super_resolution.0.stem.weight" in str(caught.value)


def test_sizes_come_from_the_stages_that_they_need(cascade: Imagen, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    forward = DenoisingUNet.forward
    monkeypatch.setattr(
        DenoisingUNet, "forward", lambda self, *given: (ran.append(self.config.image_size), forward(self, *given))[1]
    )

    def made(side: int | None) -> np.ndarray:
        ran.clear()
        return np.asarray(cascade.generate_image("a red circle", 1, width=side, height=side))

    last = made(None)
    assert last.shape == (64, 64, 3) and ran == [32] * 4 + [64] * 2
    assert np.array_equal(made(64), last)
    stage = made(32)
    assert stage.shape == (32, 32, 3) and ran == [32] * 4
    base = made(16)
    assert base.shape == (16, 16, 3) and ran == []
    large = np.asarray(Image.fromarray(last).resize((128, 128), Image.Resampling.LANCZOS))
    assert np.array_equal(made(128), large)
    rules = ImagenGenerator(cascade).rules
    assert rules.sizes[0] == (64, 64) and set(rules.sizes) == {(side, side) for side in (16, 32, 64, 128, 256, 512)}
    assert rules.defaults["num_inference_steps"] == 4


def test_without_stages_nothing_changes(tiny: Imagen) -> None:
    rules = ImagenGenerator(tiny).rules
    assert [side for side, _ in rules.sizes] == [128, 16, 32, 64, 256, 512]
    assert "num_inference_steps" not in rules.defaults
    (refused,) = ImagenGenerator(tiny).generate([GenerationRequest("a red circle", 1, num_inference_steps=4)])
    assert isinstance(refused, Failure) and "num_inference_steps" in refused.message


def test_the_first_configuration_still_means_the_same() -> None:
    """A config.json written before there were stages."""
    old = json.loads((BUNDLED / "imagen-small" / "config.json").read_text())
    for later in ("base", "denoiser", "super_resolution"):
        old.pop(later, None)
    old.pop("architectures", None)
    old["display_factor"] = 8
    config = ImagenConfig(**old)
    assert config.base == "pixel_decoder" and config.stages == [] and config.base_stage is None
    assert rules_from_config(old).sizes[0] == (128, 128)


@pytest.mark.parametrize("kind", ["cascade", "denoising"])
def test_a_watched_picture_is_the_same_and_comes_nearer(kind: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(kind)
    generator = ImagenGenerator(model)
    asked = [GenerationRequest("a red circle", seed) for seed in range(3)]
    seen: list[tuple[float, Image.Image]] = []
    watched = generator.generate_watched(asked, {1: lambda share, paint: seen.append((share, paint()))})
    final = watched[1]
    assert isinstance(final, Success) and final.image.tobytes() == pictures(model, asked)[1]
    total = 16 + 4 + 2 if kind == "cascade" else 3
    assert [share for share, _ in seen] == pytest.approx([step / total for step in range(1, total + 1)])
    assert {picture.size for _, picture in seen} == {final.image.size}
    assert seen[-1][1].tobytes() == final.image.tobytes()


def test_a_denoising_base_gives_no_likelihood(denoising: Imagen) -> None:
    with pytest.raises(ValueError, match="pixel_decoder"):
        denoising.log_likelihood(Image.new("RGB", (16, 16)), "a red circle")


def test_a_stage_sees_text_low_resolution_level_and_time() -> None:
    torch.manual_seed(0)
    net = DenoisingUNet(DenoiserConfig.of(SMALL_STAGE), 8)
    for parameter in net.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)
    noisy, low, states = torch.randn(1, 3, 32, 32), torch.randn(1, 3, 16, 16), torch.randn(1, 4, 8)
    mask = torch.ones(1, 4, dtype=torch.bool)

    def predicted(time: float, level: float, states: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
        text = net.read_text(states, mask)
        return net(noisy, torch.tensor([time]), text, low, torch.tensor([level]))

    plain = predicted(0.5, 0.1, states, low)
    assert plain.shape == noisy.shape
    for other in (
        predicted(0.6, 0.1, states, low),
        predicted(0.5, 0.2, states, low),
        predicted(0.5, 0.1, states + torch.randn_like(states), low),
        predicted(0.5, 0.1, states, low.flip(-1)),
    ):
        assert (other - plain).abs().max() > 1e-4
    longer = net.read_text(torch.cat((states, torch.randn(1, 3, 8)), 1), torch.tensor([[True] * 4 + [False] * 3]))
    padded = net(noisy, torch.tensor([0.5]), longer, low, torch.tensor([0.1]))
    torch.testing.assert_close(padded, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"super_resolution": [LARGE_STAGE]}, r"super_resolution\[0\] must start from the 16 pixels"),
        ({"super_resolution": [{**SMALL_STAGE, "image_size": 48}]}, "times 2, 4, 8"),
        ({"super_resolution": [{**SMALL_STAGE, "stride": 2}]}, "unknown field stride"),
        ({"super_resolution": [{**SMALL_STAGE, "blocks": [1]}]}, "blocks must have one value for each of the 2"),
        ({"super_resolution": [{**SMALL_STAGE, "sampler": "magic"}]}, "euler, heun, ancestral"),
        ({"super_resolution": [{**SMALL_STAGE, "unshuffle": 5}]}, "multiple of 10"),
        ({"base": "denoising_unet"}, "denoiser must be given"),
        ({"base": "gan"}, "pixel_decoder, denoising_unet"),
        ({"base": "denoising_unet", "denoiser": SMALL_STAGE}, "no low_resolution_size"),
    ],
)
def test_impossible_cascades_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(Exception, match=words):
        ImagenConfig(**{**TINY, **changes})


def test_a_stage_can_follow_only_a_stage(tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match="no stage before it"):
        Imagen.from_pretrained(tiny_folder).put_stage(1, DenoiserConfig.of(LARGE_STAGE))


def test_the_published_sizes_have_about_the_published_parameters() -> None:
    with torch.device("meta"):
        model = Imagen(published_config())
    for part, published in PUBLISHED_PARAMETERS.items():
        own = sum(parameter.numel() for parameter in model.get_submodule(part).parameters())
        assert abs(own / published - 1) < 0.06, f"{part}: {own / 1e6:.0f} M beside {published / 1e6:.0f} M"
        assert f"| {own / 1e6:,.0f} M |" in Path("docs/published-sizes.md").read_text(), f"{part} is {own / 1e6:,.0f} M"
    assert rules_from_config(model.config.to_dict()).sizes[0] == (1024, 1024)
