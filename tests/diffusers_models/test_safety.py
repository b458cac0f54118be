"""Safety checkers as published models bring them: real classes, tiny, whose verdict their weights decide."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.deepfloyd_if import IFSafetyChecker
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPImageProcessor

from imagen_model.catalog import ModelNotFound, find_model
from imagen_model.generation import ErrorCode, Failure, GenerationRequest, Success
from imagen_model.open_models.options import ModelOptions

VISION = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
CONFIG = CLIPConfig(
    vision_config={**VISION, "image_size": 16, "patch_size": 8, "projection_dim": 8}, projection_dim=8
)  # fmt: skip
WITHOUT = ModelOptions(no_safety_checker=True)


def bring(folder: Path, checker: Any, module: str) -> None:
    """Put the checker into a pipeline's folder."""
    checker.save_pretrained(folder / "safety_checker")
    size = {"height": 16, "width": 16}
    CLIPImageProcessor(size=size, crop_size=size, do_resize=True).save_pretrained(folder / "feature_extractor")
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = [module, type(checker).__name__]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))


def stable_diffusion_checker(threshold: float) -> StableDiffusionSafetyChecker:
    """Holds back what resembles any concept by more than the threshold, a cosine."""
    torch.manual_seed(0)
    checker = StableDiffusionSafetyChecker(CONFIG)
    checker.concept_embeds_weights.data.fill_(threshold)
    checker.special_care_embeds_weights.data.fill_(2.0)
    return checker


def deepfloyd_checker(nudity: float, watermark: float) -> IFSafetyChecker:
    """Holds back what it gives more than 0.5."""

    class Saved(IFSafetyChecker):
        def __init__(self, config: CLIPConfig) -> None:
            super().__init__(config)
            self.post_init()

    Saved.__name__ = "IFSafetyChecker"
    checker = Saved(CONFIG)
    for head, value in ((checker.p_head, nudity), (checker.w_head, watermark)):
        head.weight.data.zero_()
        head.bias.data.fill_(value)
    return checker


def draw(folder: Path, options: ModelOptions, side: int = 16) -> Any:
    request = GenerationRequest("a cat", 1, width=side, height=side, num_inference_steps=2)
    (result,) = find_model(str(folder), options).load(device="cpu").generate([request])
    return result


def is_filtered(result: Any) -> bool:
    return isinstance(result, Failure) and result.code == ErrorCode.CONTENT_FILTERED


def test_stable_diffusions_checker_and_one_that_is_pickled(
    model: Callable[[str], Path], copy: Callable[..., Path]
) -> None:
    folder = copy()
    bring(folder, stable_diffusion_checker(-2.0), "stable_diffusion")
    assert is_filtered(draw(folder, ModelOptions()))
    bring(folder, stable_diffusion_checker(2.0), "stable_diffusion")
    plain = draw(model("stable_diffusion"), ModelOptions())
    assert isinstance(plain, Success)
    for options in (ModelOptions(), WITHOUT):
        assert draw(folder, options).image.tobytes() == plain.image.tobytes()
    weights = folder / "safety_checker/model.safetensors"
    torch.save(load_file(weights), folder / "safety_checker/pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ModelNotFound, match=r"safety_checker holds no safetensors; .* give --no-safety-checker"):
        find_model(str(folder))
    assert draw(folder, WITHOUT).image.tobytes() == plain.image.tobytes()


@pytest.mark.parametrize(("nudity", "watermark"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_a_cascade_is_checked_by_its_first_stage(copy: Callable[..., Path], nudity: float, watermark: float) -> None:
    """Whose checker sees the last picture; later stages bring none."""
    folder = copy("deepfloyd_if")
    bring(folder / "stage_1", deepfloyd_checker(nudity, watermark), "deepfloyd_if")
    for side in (8, 32):
        found = draw(folder, ModelOptions(), side)
        assert is_filtered(found) == (nudity + watermark > 0) and isinstance(found, Success) != is_filtered(found)
    assert isinstance(draw(folder, WITHOUT, 32), Success)
