"""Several processes' shares of a step make the step: its rows, and all that is random in it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from imagen_model.training.job import TrainingJob
from imagen_model.training.loop import Trainer
from imagen_model.training.share import Share

from .conftest import unsettle
from .test_stage_training import stage_job
from .test_training import JOB


@pytest.mark.parametrize("stage", [False, True])
def test_the_mean_of_the_shares_gradients_is_the_gradient_of_the_whole(
    stage: bool, tiny_folder: Path, tmp_path: Path
) -> None:
    job: TrainingJob = stage_job(tiny_folder, tmp_path, crop=16) if stage else JOB
    trainer = Trainer(dataclasses.replace(job, output=str(tmp_path), batch_size=4, precision="fp32"))
    unsettle(trainer.model)
    found = {}
    for count in (1, 2, 4):
        trainer.optimizer.zero_grad()
        for rank in range(count):
            share = Share(rank, count)
            torch.manual_seed(3)
            batch = trainer.objective.data(0, 3, share=share)[2]
            assert len(batch.captions) == 4 // count
            (trainer.loss(batch, share) / count).backward()
        found[count] = {name: p.grad.clone() for name, p in trainer.learning.items() if p.grad is not None}
    assert max(float(gradient.abs().max()) for gradient in found[1].values()) > 1e-3
    for count in (2, 4):
        assert found[count].keys() == found[1].keys()
        for name, gradient in found[1].items():
            torch.testing.assert_close(found[count][name], gradient, rtol=1e-3, atol=1e-5)
