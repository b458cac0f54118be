"""Stages train by themselves: the rest stays as it was, a resumed run ends the same, wrong files are refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from imagen_model import Imagen
from imagen_model.training import loop
from imagen_model.training.building import build_model
from imagen_model.training.data import Batches, Drawings
from imagen_model.training.job import InvalidTrainingJob, TrainingJob, read_training_job
from imagen_model.training.loop import Trainer, train

from .conftest import LARGE_STAGE, SMALL_STAGE, TINY, TINY_JOB

STAGE = dataclasses.replace(
    TINY_JOB,
    model={},
    start_from="",
    stage="super_resolution[0]",
    denoiser=SMALL_STAGE,
    precision="bf16",
    validate_every=12,
    validation_batches=2,
)
BASE = {**SMALL_STAGE, "image_size": 16, "low_resolution_size": None}


def stage_job(tiny_folder: Path, output: Path, **changes: object) -> TrainingJob:
    return dataclasses.replace(STAGE, start_from=str(tiny_folder), output=str(output), **changes)  # type: ignore[arg-type]


def weights(folder: Path | str) -> dict[str, torch.Tensor]:
    return Imagen.from_pretrained(folder).state_dict()


def test_a_resumed_stage_ends_with_the_weights_of_an_uninterrupted_one(tiny_folder: Path, tmp_path: Path) -> None:
    whole = train(stage_job(tiny_folder, tmp_path / "whole"))
    for _ in range(3):
        Trainer(stage_job(tiny_folder, tmp_path / "parts")).run(stop_after=5)
    one, other, before = weights(whole), weights(tmp_path / "parts" / "model"), weights(tiny_folder)
    assert set(one) > set(before)
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
        if name in before:
            assert torch.equal(tensor, before[name]), f"{name} is not of the stage and must not change"
    assert any(float(tensor.abs().max()) > 0 for name, tensor in one.items() if name.endswith("0.head.weight"))


def test_a_second_stage_joins_the_first_and_learns_from_crops(tiny_folder: Path, tmp_path: Path) -> None:
    first = train(stage_job(tiny_folder, tmp_path / "first", steps=2))
    second = train(
        dataclasses.replace(
            stage_job(first, tmp_path / "second", steps=2), stage="super_resolution[1]", denoiser=LARGE_STAGE, crop=32
        )
    )
    before, after = weights(first), weights(second)
    assert {name.split(".")[1] for name in after if name.startswith("super_resolution")} == {"0", "1"}
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    model = Imagen.from_pretrained(second)
    assert model.generate_image("a red circle").size == (64, 64)
    # The first stage again, from the whole: the second stays.
    again = train(dataclasses.replace(stage_job(second, tmp_path / "again", steps=3), denoiser=None))
    last = weights(again)
    changed = [name for name in last if not torch.equal(last[name], after[name])]
    assert changed and all(name.startswith("super_resolution.0.") for name in changed)


def test_a_stage_learns(tiny_folder: Path, tmp_path: Path) -> None:
    job = stage_job(tiny_folder, tmp_path, steps=60, validate_every=20, precision="fp32", checkpoint_every=60)
    train(job)
    losses = [json.loads(line)["validation_loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(losses) == 3 and losses[-1] < losses[0]


def test_a_denoising_base_learns_from_nothing_and_in_the_place_of_another(tiny_folder: Path, tmp_path: Path) -> None:
    fields = {key: TINY[key] for key in ("text_config", "max_text_tokens")}
    fields |= {"sampling_defaults": {"guidance_scale": 2.0, "num_inference_steps": 2}}
    job = dataclasses.replace(
        STAGE,
        output=str(tmp_path / "new"),
        start_from=None,
        stage="base",
        denoiser=None,
        model={**fields, "base": "denoising_unet", "denoiser": BASE},
        steps=3,
    )
    trainer = Trainer(job)
    before = {name: p.detach().clone() for name, p in trainer.model.text_encoder.named_parameters()}
    trainer.run()
    assert any(not torch.equal(before[name], p) for name, p in trainer.model.text_encoder.named_parameters())
    assert Imagen.from_pretrained(tmp_path / "new" / "model").generate_image("a red circle").size == (128, 128)

    start = weights(tiny_folder)
    replaced = train(stage_job(tiny_folder, tmp_path / "replaced", steps=3, stage="base", denoiser=BASE))
    model = Imagen.from_pretrained(replaced)
    assert model.config.base == "denoising_unet" and not hasattr(model, "decoder")
    for name, parameter in model.text_encoder.named_parameters():
        assert torch.equal(parameter, start[f"text_encoder.{name}"]), "a saved model's text encoder stays"


def test_a_stage_can_be_brought_from_another_model(tiny_folder: Path, tmp_path: Path) -> None:
    giver = train(stage_job(tiny_folder, tmp_path / "giver", steps=3))
    fields = {"text_config": {**TINY["text_config"], "intermediate_size": 64}, "image_size": 16}
    base = TrainingJob(str(tmp_path / "base"), model={**TINY, **fields}, steps=1, batch_size=2, sample_prompts=("a",))
    start = train(base)
    job = stage_job(start, tmp_path / "run", denoiser=None, stage_from=str(giver), steps=2)
    there = Trainer(job).model
    for name, parameter in there.super_resolution.named_parameters():
        assert torch.equal(parameter, weights(giver)[f"super_resolution.{name}"]), name
    after, before = weights(train(job)), weights(start)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    with pytest.raises(InvalidTrainingJob, match=r"no diffusion stage super_resolution\[1\]"):
        Trainer(dataclasses.replace(job, output=str(tmp_path / "x"), stage="super_resolution[1]"))
    with pytest.raises(InvalidTrainingJob, match="leave denoiser out"):
        dataclasses.replace(job, denoiser=SMALL_STAGE)


def test_low_and_full_pictures_are_of_one_place() -> None:
    batch = Batches(Drawings("illustrations"), 3, 6, 64, 10, 0.1, low_side=32, crop=32, align=8)[2]
    assert batch.pictures.shape == (6, 32, 32, 3) and batch.low is not None and batch.low.shape == (6, 16, 16, 3)
    averaged = batch.pictures.float().unflatten(1, (16, 2)).unflatten(3, (16, 2)).mean((2, 4))
    assert (averaged - batch.low.float()).abs().mean() < 2
    whole = Batches(Drawings("illustrations"), 3, 6, 64, 10, 0.1, low_side=32)[2]
    assert whole.captions != [] and whole.pictures.shape == (6, 64, 64, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stage": "upscaler"}, r"super_resolution\[0\]"),
        ({"start_from": None}, "needs start_from"),
        ({"denoiser": {**SMALL_STAGE, "depth": 3}}, "unknown field depth"),
        ({"denoiser": BASE}, "low_resolution_size for a super-resolution stage"),
        ({"stage": "base"}, "none for a base"),
        ({"augmentation": 2.0}, "augmentation must be from 0 to 1"),
        ({"stage": "base", "start_from": None}, r"model\.denoiser"),
        ({"display_factor": 3}, "display_factor must be a power of two, got 3"),
        ({"display_factor": 2, "denoiser": None, "stage": "base", "start_from": None}, "stands in model"),
    ],
)
def test_wrong_stages_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(InvalidTrainingJob, match=words):
        dataclasses.replace(STAGE, **{"output": "x", "start_from": "y", **changes})


def test_a_stage_that_does_not_fit_its_model_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidTrainingJob, match="0 super-resolution stages"):
        Trainer(stage_job(tiny_folder, tmp_path, denoiser=None))
    with pytest.raises(InvalidTrainingJob, match="multiple of 4 up to 32"):
        Trainer(stage_job(tiny_folder, tmp_path, crop=10))
    with pytest.raises(InvalidTrainingJob, match="must start from the 16 pixels"):
        Trainer(stage_job(tiny_folder, tmp_path, denoiser=LARGE_STAGE))


def test_the_bundled_recipe_is_valid() -> None:
    assert read_training_job("jobs/specs/training/imagen-small-sr0.yaml").super_resolution_index == 0
    assert read_training_job("jobs/specs/training/imagen-small-text.yaml").stage == "text_encoder"


def test_a_text_encoder_learns_alone_what_captions_mean(tmp_path: Path) -> None:
    job = dataclasses.replace(
        TINY_JOB,
        output=str(tmp_path / "whole"),
        model={**TINY, "world": "bilingual_illustrations"},
        stage="text_encoder",
        batch_size=8,
        validation_batches=2,
        sample_prompts=("a red circle", "三颗黄色的心"),
    )
    whole = train(job)
    parts = dataclasses.replace(job, output=str(tmp_path / "parts"))
    for _ in range(3):
        loop.trainer(parts).run(stop_after=5)
    one, other = weights(whole), weights(tmp_path / "parts" / "model")  # loaded strictly: the small decoder is gone
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    start = build_model(job).state_dict()
    assert {name.split(".")[0] for name, tensor in one.items() if not torch.equal(tensor, start[name])} == {
        "text_encoder"
    }
    losses = [
        json.loads(line)["validation_loss"] for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()
    ]
    assert losses[-1] < losses[0]
    said = (tmp_path / "whole" / "samples-00000012.txt").read_text().splitlines()
    assert [line.split(" -> ")[0] for line in said] == ["a red circle", "三颗黄色的心"]


def test_a_text_encoder_that_cannot_be_trained_so(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidTrainingJob, match="leave denoiser out"):
        TrainingJob(output="", stage="text_encoder", denoiser=SMALL_STAGE)
    staged = train(stage_job(tiny_folder, tmp_path / "staged", steps=1))
    with pytest.raises(InvalidTrainingJob, match="before them"):
        build_model(TrainingJob(output="", start_from=str(staged), stage="text_encoder"))
    drawn = TrainingJob(output=str(tmp_path / "x"), model={**TINY, "world": "drawn_world"}, stage="text_encoder")
    with pytest.raises(InvalidTrainingJob, match="drawn_world has none"):
        train(drawn)
