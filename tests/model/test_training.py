"""Training: it learns, it resumes to the bit, it refuses wrong files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from imagen_model import Imagen
from imagen_model.training import checkpoints
from imagen_model.training.job import InvalidTrainingJob, read_training_job
from imagen_model.training.loop import Trainer, train

from .conftest import TINY_JOB as JOB


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = train(dataclasses.replace(JOB, output=str(tmp_path / "whole")))
    parts = dataclasses.replace(JOB, output=str(tmp_path / "parts"))
    for _ in range(3):
        Trainer(parts).run(stop_after=5)
    one, other = Imagen.from_pretrained(whole), Imagen.from_pretrained(tmp_path / "parts" / "model")
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [6, 12]
    assert log[-1]["validation_loss"] < log[0]["validation_loss"]
    with Image.open(tmp_path / "whole" / "samples-00000012.png") as grid:
        assert grid.width == 4 * 132
    assert [path.name for path in (tmp_path / "parts").glob("checkpoint-*")] == ["checkpoint-00000012"]


def test_a_checkpoint_cut_short_is_not_one(tmp_path: Path) -> None:
    job = dataclasses.replace(JOB, output=str(tmp_path), steps=5)
    Trainer(job).run()
    (tmp_path / "checkpoint-00000009.partial").mkdir()
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-00000005"


def test_a_loss_that_is_not_finite_stops_with_the_remedy(tmp_path: Path) -> None:
    trainer = Trainer(dataclasses.replace(JOB, output=str(tmp_path)))
    with torch.no_grad():
        trainer.model.decoder.rows.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        trainer.run()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("output: x\nstepz: 5", "stepz"),
        ("steps: 5", "output is missing"),
        ("output: x\nsteps: 0", "steps must be"),
        ("output: x\nlearning_rate: 1e-3", "write 1.0e-3"),
        ("- a list", "mapping"),
        ("output: [", "cannot read"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(InvalidTrainingJob, match=words):
        read_training_job(tmp_path / "job.yaml")


def test_the_bundled_recipe_is_valid() -> None:
    assert read_training_job("jobs/specs/training/imagen-small-base.yaml").steps > 1000


def test_a_run_can_start_from_a_model(tmp_path: Path) -> None:
    first = train(dataclasses.replace(JOB, output=str(tmp_path / "first"), steps=3))
    job = dataclasses.replace(JOB, output=str(tmp_path / "second"), model={}, start_from=str(first))
    weights = Trainer(job).model.state_dict()
    for name, tensor in Imagen.from_pretrained(first).state_dict().items():
        assert torch.equal(tensor, weights[name]), name
    with pytest.raises(InvalidTrainingJob, match="start_from"):
        dataclasses.replace(JOB, start_from=str(first))
