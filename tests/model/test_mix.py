"""Which scenes a run learns from: the drawn world in other shares."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from imagen_model import Imagen
from imagen_model.training.data import DrawnSubject
from imagen_model.training.job import InvalidTrainingJob, TrainingJob
from imagen_model.training.objectives import source


def test_a_mix_gives_kinds_of_scenes_other_shares(tiny_folder: Path) -> None:
    model = Imagen.from_pretrained(tiny_folder)
    job = TrainingJob("out", mix={"single": 1.0})
    drawn = source(model, job, 16, False)
    subjects = [drawn.subject(random.Random(seed), 0, seed) for seed in range(20)]
    assert all(isinstance(one, DrawnSubject) and len(one.scene.objects) == 1 for one in subjects)
    with pytest.raises(InvalidTrainingJob, match="has no 'castle'; its scenes are: single, pair"):
        source(model, TrainingJob("out", mix={"castle": 1.0}), 16, False)


@pytest.mark.parametrize("mix", [{}, {"single": -1, "pair": 2}, {"single": 0}, ["single"], {"single": "half"}])
def test_a_mix_of_no_shares_is_refused(mix: object) -> None:
    with pytest.raises(InvalidTrainingJob, match="mix must give kinds of scenes shares"):
        TrainingJob("out", mix=mix)  # type: ignore[arg-type]
