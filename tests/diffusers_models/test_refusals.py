"""What is refused before any work starts, and by which words; what a plan pins."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from imagen_model.catalog import ModelNotFound, find_model
from imagen_model.generation import ErrorCode, GenerationRequest, InvalidRequest, Success
from imagen_model.open_models.folder import UnusableModel
from imagen_model.open_models.options import ModelOptions
from pipelines.errors import InvalidJob, PlanMismatch
from pipelines.progress import Summary
from pipelines.weights import find_source

from .conftest import hashes, rows


def test_pickled_weights_are_refused_by_name(copy: Callable[..., Path]) -> None:
    folder = copy()
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ModelNotFound, match=r"unet holds diffusion_pytorch_model\.bin, but no safetensors"):
        find_model(str(folder))


def test_weights_of_one_variant_are_loaded_by_its_name(copy: Callable[..., Path]) -> None:
    folder = copy()
    plain = find_model(str(folder)).load(device="cpu")
    for name in ("unet/diffusion_pytorch_model", "text_encoder/model"):
        (folder / f"{name}.safetensors").rename(folder / f"{name}.bf16.safetensors")
    (folder / "tokenizer/config.json").write_text(json.dumps({"model_type": "clip"}))  # as some repositories have it
    request = [GenerationRequest("a", 1, num_inference_steps=1)]
    pictures = [one.generate(request)[0] for one in (plain, find_model(str(folder)).load(device="cpu"))]
    assert pictures[0].image.tobytes() == pictures[1].image.tobytes()
    weights = folder / "unet/diffusion_pytorch_model.bf16.safetensors"
    for name in ("ema", "non_ema"):
        shutil.copy(weights, weights.with_name(f"diffusion_pytorch_model.{name}.safetensors"))
    find_model(str(folder))
    weights.unlink()
    with pytest.raises(ModelNotFound, match="unet holds its weights only as ema, non_ema"):
        find_model(str(folder))


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("unet", ["my_own_code", "Unet"], "no code of a model is run"),
        ("_class_name", ["my_own_code", "Pipeline"], "names no pipeline class"),
        ("_class_name", "NoSuchPipeline", "which the installed diffusers does not have"),
        ("_class_name", "StableVideoDiffusionPipeline", "give a text-to-image model"),
        (
            "image_encoder",
            ["transformers", "CLIPVisionModelWithProjection"],
            "folder of image_encoder .* is missing",
        ),
    ],
)
def test_an_index_that_cannot_be_run(copy: Callable[..., Path], part: str, value: Any, words: str) -> None:
    index = copy() / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {part: value}))
    with pytest.raises(ModelNotFound, match=words):
        find_model(str(index.parent))


@pytest.mark.parametrize("trouble", ["lacks", "has unknown", "has misshapen"])
def test_loading_is_strict(copy: Callable[..., Path], trouble: str) -> None:
    file = copy() / "unet/diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    if trouble == "lacks":
        del weights["conv_in.weight"]
    elif trouble == "has unknown":
        weights["conv_in.another"] = torch.zeros(1)
    else:
        weights["conv_in.weight"] = torch.zeros(4, 4, 1, 1)
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(UnusableModel, match=f"unet.*({trouble}|cannot be loaded)"):
        find_model(str(file.parents[1])).load(device="cpu")


@pytest.mark.parametrize(
    ("family", "parameters", "words"),
    [
        ("flux_schnell", {"guidance_scale": 3.0}, "no parameter guidance_scale"),
        ("flux", {"negative_prompt": "blur"}, "takes no negative_prompt"),
        ("stable_diffusion", {"temperature": 1.0}, "no parameter temperature"),
        ("stable_diffusion", {"width": 20, "height": 16}, "any multiple of 8 from 8 to 2048 pixels a side"),
        ("deepfloyd_if", {"width": 24, "height": 24}, "use one of: 32x32, 16x16, 8x8"),
    ],
)
def test_what_a_signature_does_not_take(
    family: str, parameters: dict[str, Any], words: str, model: Callable[[str], Path]
) -> None:
    rules = find_model(str(model(family))).rules
    with pytest.raises(InvalidRequest, match=words):
        rules.resolve(GenerationRequest("a", 1, **parameters))


def test_a_job_is_refused_before_anything_is_written(
    model: Callable[[str], Path], table: Callable[..., str], run: Callable[..., Summary], tmp_path: Path
) -> None:
    with pytest.raises(InvalidJob, match="no parameter guidance_scale"):
        run(table(prompt=["a"]), tmp_path / "out", model("flux_schnell"), guidance_scale=2.0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("family", "options", "words"),
    [
        ("flux", {"scheduler": "ddim"}, "does not fit a model made for FlowMatchEulerDiscreteScheduler"),
        ("stable_diffusion", {"scheduler": "nonsense"}, "there is no scheduler 'nonsense'"),
        ("stable_diffusion", {"scheduler": "DPMSolverSDEScheduler"}, "no row's seed decides"),
        ("sana", {"scheduler": "euler"}, "does not fit a model made for FlowMatch"),
        ("sana_flow", {"scheduler": "euler"}, "EulerDiscreteScheduler takes .*, but this model gives flow_prediction"),
        ("flux", {"attention_slicing": True}, "FluxPipeline has no U-Net"),
        ("flux", {"no_safety_checker": True}, "FluxPipeline has no safety checker to leave out"),
        ("flux", {"watermark": True}, "FluxPipeline has no invisible watermark"),
        ("deepfloyd_if", {"vae_tiling": True}, "IFPipeline has no autoencoder"),
        ("stable_diffusion_xl", {"watermark": True}, "pip install invisible-watermark"),
        ("pixart", {"lora": ["x.safetensors"]}, "takes no LoRA adapters"),
        ("qwen_image", {"compile": True}, "prompts of every length in a shape of their own"),
        ("stable_diffusion", {"lora": ["nowhere.safetensors"]}, "no safetensors file"),
    ],
)
def test_options_that_do_not_fit(
    family: str, options: dict[str, Any], words: str, model: Callable[[str], Path]
) -> None:
    with pytest.raises(ModelNotFound, match=words):
        find_model(str(model(family)), ModelOptions(**options))


def test_options_belong_to_diffusers_models_and_have_ranges() -> None:
    with pytest.raises(ModelNotFound, match=r"imagen-small is no diffusers model and takes none .* \(scheduler\)"):
        find_model("imagen-small", ModelOptions(scheduler="euler"))
    for wrong in ({"dtype": "int8"}, {"micro_batch": 65}, {"offload": "disk"}, {"lora": ["a=11"]}):
        with pytest.raises(InvalidRequest, match=next(iter(wrong))):
            ModelOptions(**wrong)  # type: ignore[arg-type]


def test_without_diffusers_the_command_that_installs_it_is_named(
    model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(model("stable_diffusion"))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "diffusers" else found(name))
    from imagen_model.open_models import signature

    signature.pipeline_modules.cache_clear()
    signature.class_files.cache_clear()
    signature.pipeline_class.cache_clear()
    with pytest.raises(ModelNotFound, match=r"pip install '\.\[diffusers\]'"):
        find_model(folder)


def test_a_model_saved_for_image_to_image_draws_from_text(model: Callable[[str], Path], tmp_path: Path) -> None:
    parts = StableDiffusionPipeline.from_pretrained(model("stable_diffusion")).components
    StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False).save_pretrained(tmp_path / "other")
    request = [GenerationRequest("a", 1, num_inference_steps=2)]
    (one,) = find_model(str(tmp_path / "other")).load(device="cpu").generate(request)
    (two,) = find_model(str(model("stable_diffusion"))).load(device="cpu").generate(request)
    assert isinstance(one, Success) and isinstance(two, Success) and one.image.tobytes() == two.image.tobytes()


def test_a_prompt_that_no_encoder_reads_whole(
    model: Callable[[str], Path], table: Callable[..., str], run: Callable[..., Summary], tmp_path: Path
) -> None:
    """CLIP reads 77 tokens, of which two are its own; T5 beside it reads on."""
    prompts = table(prompt=["a" * 75, "a" * 76], negative_prompt=[None, None], seed=[1, 1])
    settings = {"num_inference_steps": 1, "size": "16x16"}
    run(prompts, tmp_path / "refused", model("stable_diffusion"), **settings)
    assert [row["error_code"] for row in rows(tmp_path / "refused")] == [None, "prompt_too_long"]
    assert "has 78 tokens, this model reads at most 77" in rows(tmp_path / "refused")[1]["error_message"]
    truncate = ModelOptions(long_prompts="truncate")
    run(prompts, tmp_path / "cut", model("stable_diffusion"), options=truncate, **settings)
    assert hashes(tmp_path / "cut")[0] == hashes(tmp_path / "cut")[1]
    run(prompts, tmp_path / "t5", model("stable_diffusion_3"), **settings)
    assert len(set(hashes(tmp_path / "t5"))) == 2 and None not in hashes(tmp_path / "t5")
    with pytest.raises(InvalidRequest) as refusal:
        generator = find_model(str(model("stable_diffusion"))).load(device="cpu")
        generator.group_key(generator.rules.resolve(GenerationRequest("a", 1, negative_prompt="b" * 76)))
    assert refusal.value.code == ErrorCode.PROMPT_TOO_LONG and "negative_prompt has 78" in refusal.value.message


def write_adapter(folder: Path, file: Path, seed: int) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    torch.manual_seed(seed)
    pipeline.unet.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    pipeline.save_lora_weights(file.parent, get_peft_model_state_dict(pipeline.unet), weight_name=file.name)


def test_adapters_change_pictures_by_their_weight_and_are_pinned(
    model: Callable[[str], Path], table: Callable[..., str], run: Callable[..., Summary], tmp_path: Path
) -> None:
    folder, adapter = model("stable_diffusion"), tmp_path / "style.safetensors"
    write_adapter(folder, adapter, 1)
    prompts, settings = table(prompt=["a"], seed=[1]), {"num_inference_steps": 2}
    found = {}
    for lora in ([], [f"{adapter}"], [f"{adapter}=0.5"], [f"{adapter}=0"]):
        out = tmp_path / f"out{len(found)}"
        run(prompts, out, folder, options=ModelOptions(lora=lora), **settings)
        found[tuple(lora)] = hashes(out)[0]
    assert len(set(found.values())) == 3 and found[()] == found[f"{adapter}=0",]
    plans = [json.loads((tmp_path / f"out{number}/.run/plan.json").read_text())["settings"] for number in range(3)]
    assert "options" not in plans[0] and plans[1]["options"] == {"lora": [str(adapter)]}
    assert len({plan["model_revision"] for plan in plans}) == 3
    cards = [(tmp_path / f"out{number}/README.md").read_text() for number in range(3)]
    assert "model's lora" not in cards[0] and "| model's lora | style.safetensors=0.5 |" in cards[2]
    assert "style.safetensors=0.5" in (tmp_path / "out2/report.html").read_text()
    with pytest.raises(PlanMismatch, match=r"options lora: planned \['.*style.safetensors'\], now absent"):
        run(prompts, tmp_path / "out1", folder, **settings)
    before = find_source(str(folder), ModelOptions(lora=[str(adapter)])).revision
    write_adapter(folder, adapter, 2)  # another adapter by the same name
    assert find_source(str(folder), ModelOptions(lora=[str(adapter)])).revision != before
    with pytest.raises(UnusableModel, match="does not fit"):
        find_source(str(model("stable_diffusion_xl")), ModelOptions(lora=[str(spoiled(adapter))])).load(device="cpu")


def spoiled(adapter: Path) -> Path:
    """With names of layers that no model has."""
    file = adapter.with_name("spoiled.safetensors")
    save_file({key.replace("to_q", "to_nothing"): value for key, value in load_file(adapter).items()}, file)
    return file


@pytest.mark.parametrize(
    "options",
    [
        {"scheduler": "euler_a"},
        {"dtype": "bfloat16"},
        {"vae_tiling": True},
        {"attention_slicing": True},
        {"micro_batch": 2},
        {"fast": True},
    ],
)
def test_every_option_draws_and_has_a_revision(options: dict[str, Any], model: Callable[[str], Path]) -> None:
    plain = find_source(str(model("stable_diffusion")))
    source = find_source(str(model("stable_diffusion")), ModelOptions(**options))
    assert source.revision != plain.revision
    results = source.load(device="cpu").generate(
        [GenerationRequest("a", seed, num_inference_steps=2) for seed in (1, 2)]
    )
    assert all(isinstance(result, Success) for result in results)


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_where_weights_wait_changes_no_picture(offload: str, model: Callable[[str], Path]) -> None:
    plain = find_source(str(model("stable_diffusion")))
    waiting = find_source(str(model("stable_diffusion")), ModelOptions(offload=offload))
    assert waiting.revision == plain.revision
    request = [GenerationRequest("a", 1, num_inference_steps=2)]
    pictures = [source.load(device="cpu").generate(request)[0] for source in (plain, waiting)]
    assert pictures[0].image.tobytes() == pictures[1].image.tobytes()
