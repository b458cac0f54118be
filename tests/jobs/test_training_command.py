"""`imagegen train` with several files: one after another, each from what the one before made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from imagen_model.imagen import Imagen
from jobs.exit_codes import ExitCode
from jobs.train import train_command

SIZES = {
    "world": "bilingual_illustrations",
    "image_size": 8,
    "levels": 8,
    "hidden_size": 32,
    "num_layers": 1,
    "num_heads": 2,
    "encoder_layers": 1,
    "feed_forward_size": 32,
    "max_text_tokens": 96,
}


def training_file(folder: Path, name: str, **fields: Any) -> Path:
    path = folder / f"{name}.yaml"
    usual = {"output": str(folder / name), "batch_size": 2, "steps": 2, "validation_batches": 1, "threads": 1}
    path.write_text(yaml.safe_dump({**usual, "sample_prompts": ["a red circle"], **fields}), encoding="utf-8")
    return path


def test_a_later_file_starts_from_what_an_earlier_one_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = training_file(tmp_path, "text", stage="text_encoder", model=SIZES)
    base = training_file(tmp_path, "base", start_from=str(tmp_path / "text" / "model"))
    assert train_command([text, base]) == ExitCode.SUCCESS
    said = capsys.readouterr().out
    assert f"the model is in {tmp_path / 'text' / 'model'}" in said
    assert said.endswith(f"next: imagegen evaluate {tmp_path / 'base' / 'model'}\n")
    made = Imagen.from_pretrained(tmp_path / "base" / "model")
    assert made.config.world == "bilingual_illustrations"
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
