"""`imagegen train` with several files: one after another, each from what the one before made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from imagen_model.best_of import find_judge
from imagen_model.caption_judge import CaptionJudge
from imagen_model.catalog import find_model
from imagen_model.imagen import Imagen
from imagen_model.teller import Teller
from imagen_model.training.job import read_training_job
from jobs.exit_codes import ExitCode
from jobs.train import train_command
from tests.model.conftest import TINY

SIZES = {**TINY, "num_layers": 1, "world": "bilingual_illustrations"}


def training_file(folder: Path, name: str, **fields: Any) -> Path:
    path = folder / f"{name}.yaml"
    usual = {"output": str(folder / name), "batch_size": 2, "steps": 2, "validation_batches": 1, "threads": 1}
    path.write_text(yaml.safe_dump({**usual, "sample_prompts": ["a red circle"], **fields}), encoding="utf-8")
    return path


def test_a_later_file_starts_from_what_an_earlier_one_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = training_file(tmp_path, "text", stage="text_encoder", model=SIZES)
    judge = {"captioner": str(find_model("imagen-small").folder), "teller": str(tmp_path / "text" / "model" / "teller")}
    judge["captioner"] += "/captioner"
    base = training_file(tmp_path, "base", start_from=str(tmp_path / "text" / "model"), judge=judge)
    assert train_command([text, base], workers=2) == ExitCode.SUCCESS
    said, told = capsys.readouterr()
    assert f"{text}: 2 steps of text_encoder, by one worker" in told and f"{base}: 2 steps of base\n" in told
    assert f"the model is in {tmp_path / 'text' / 'model'}" in said
    assert said.endswith(f"next: imagegen evaluate {tmp_path / 'base' / 'model'}\n")
    made = Imagen.from_pretrained(tmp_path / "base" / "model")
    read = Imagen.from_pretrained(tmp_path / "text" / "model").text_encoder.state_dict()
    assert all(torch.equal(read[name], kept) for name, kept in made.text_encoder.state_dict().items())
    teller = Teller.from_pretrained(judge["teller"]).state_dict()
    chosen = find_judge(made)
    assert isinstance(chosen, CaptionJudge)
    assert all(torch.equal(teller[name], kept) for name, kept in chosen.teller.state_dict().items())
    log = (tmp_path / "text" / "log.jsonl").read_text()
    assert train_command([text, base]) == ExitCode.SUCCESS  # run again: nothing is trained a second time
    assert (tmp_path / "text" / "log.jsonl").read_text() == log
    assert train_command([text]) == ExitCode.SUCCESS
    assert capsys.readouterr().out.endswith(f"next: train the base with start_from: {tmp_path / 'text' / 'model'}\n")


def test_every_mistake_is_told_before_anything_is_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = training_file(tmp_path, "good", model=SIZES)
    bad = [training_file(tmp_path, f"bad{number}", model=SIZES, steps=-number) for number in (1, 2)]
    assert train_command([good, *bad]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "got -1" in said and "got -2" in said and not (tmp_path / "good").exists()


def test_two_files_with_one_output_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (training_file(tmp_path, name, model=SIZES, output=str(tmp_path / "same")) for name in "ab")
    assert train_command([one, other]) == ExitCode.USAGE
    assert f"is that of {one} too" in capsys.readouterr().err and not (tmp_path / "same").exists()


def test_a_judge_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge = {"captioner": str(tmp_path / "nowhere"), "teller": str(tmp_path)}
    assert train_command([training_file(tmp_path, "x", model=SIZES, judge=judge)]) == ExitCode.USAGE
    assert "nowhere" in capsys.readouterr().err
    assert train_command([training_file(tmp_path, "y", model=SIZES, judge={"teller": "t"})]) == ExitCode.USAGE
    assert "judge must name two folders, captioner and teller" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cpu", "gpu"),
    [("text", "1-text-encoder"), ("base", "2-base"), ("captioner", "3-captioner"), ("sr0", "4-super-resolution")],
)
def test_both_recipes_make_the_same_model(cpu: str, gpu: str) -> None:
    one = read_training_job(f"jobs/specs/training/imagen-small-{cpu}.yaml")
    other = read_training_job(f"jobs/specs/training/gpu/{gpu}.yaml")
    for name in ("model", "stage", "denoiser", "captioner", "mix", "augmentation", "sample_prompts"):
        assert getattr(one, name) == getattr(other, name), name


def test_the_recipe_makes_a_model_of_the_bundled_form(tmp_path: Path) -> None:
    """All its files from nothing to the end, with two steps of two pictures each."""
    short: dict[str, object] = {"steps": 2, "batch_size": 2, "validation_batches": 1, "compile": False}
    paths = []
    for name in ("text", "captioner", "base", "sr0"):
        recipe = Path(f"jobs/specs/training/imagen-small-{name}.yaml").read_text(encoding="utf-8")
        fields = yaml.safe_load(recipe.replace("runs/", f"{tmp_path}/"))
        paths.append(tmp_path / f"{name}.yaml")
        paths[-1].write_text(yaml.safe_dump({**fields, **short}), encoding="utf-8")
    assert train_command(paths) == ExitCode.SUCCESS
    made, bundled = tmp_path / "imagen-small-sr0" / "model", Path(find_model("imagen-small").folder)
    for part in ("config.json", "teller/config.json", "captioner/config.json", "tokenizer.json"):
        assert json.loads((made / part).read_text()) == json.loads((bundled / part).read_text()), part
    assert Imagen.from_pretrained(made).generate_image("a red circle", seed=1).size == (256, 256)


@pytest.mark.parametrize("path", sorted(Path("jobs/specs/training").rglob("*.yaml")), ids=str)
def test_recipes_are_read(path: Path) -> None:
    job = read_training_job(path)
    assert job.output.startswith("runs/")
    assert job.judge is None or job.super_resolution_index is not None  # which the last of a recipe's files trains
