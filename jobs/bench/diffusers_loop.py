"""A diffusers loop as one writes it by hand, one process a core: `python -m jobs.bench.diffusers_loop` is one.

It says when it has warmed up, waits for a line, makes its images and throws them away: nothing is encoded or stored.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

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


def main(arguments: Sequence[str]) -> None:
    folder, batch, count = arguments[0], int(arguments[1]), int(arguments[2])
    pipeline = load(folder)
    draw(pipeline, 0, batch)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.time()
    for first in range(0, count, batch):
        draw(pipeline, first, min(batch, count - first))
    print(json.dumps([began, time.time()]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
