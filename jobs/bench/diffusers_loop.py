"""A diffusers loop as one writes it by hand, one process a core: `python -m jobs.bench.diffusers_loop FOLDER` is one.

For every line BATCH COUNT it makes COUNT images and throws them away: nothing is encoded or stored.
"""

from __future__ import annotations

import sys
from typing import Any

from .bare import answer_lines
from .diffusers_model import STEPS
from .tables import SUBJECTS


def load(folder: str) -> Any:
    import torch
    from diffusers import DiffusionPipeline

    from imagen_model.open_models.loading import quiet

    quiet()
    torch.set_num_threads(1)
    pipeline = DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline: Any, first: int, count: int) -> None:
    """The pictures first, first + 1, ... in one batch."""
    import torch

    numbers = range(first, first + count)
    pipeline(
        prompt=[SUBJECTS[number % len(SUBJECTS)] for number in numbers],
        num_inference_steps=STEPS,
        generator=[torch.Generator("cpu").manual_seed(number) for number in numbers],
    )


def main(folder: str) -> None:
    pipeline = load(folder)
    draw(pipeline, 0, 1)

    def make(batch: int, count: int) -> None:
        for first in range(0, count, batch):
            draw(pipeline, first, min(batch, count - first))

    answer_lines(make)


if __name__ == "__main__":
    main(sys.argv[1])
