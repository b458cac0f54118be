"""The GPU benchmark on a CPU, at toy size; its models' true sizes; how it counts operations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from imagen_model.open_models.options import ModelOptions
from jobs.bench import suite_command
from jobs.bench.gpu_figures import PEAKS, counted, picture_flops
from jobs.bench.gpu_loops import our_loop, timed
from jobs.bench.gpu_models import MODELS, generator_of, make, parameters_of
from pipelines.errors import InvalidJob

ROOT = Path(__file__).parents[2]
# What the benchmark's machine need not have.
ABSENT = ("ray", "pyarrow", "typer", "pydantic", "rich", "jinja2", "accelerate", "peft")


def test_the_suite_runs_where_only_its_four_libraries_are() -> None:
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r})); from jobs.bench.gpu import main;"
        "main(['--toy', '--rounds', '1', '--batches', '1', '2']);"
        "from torch.backends import cudnn; assert cudnn.allow_tf32 and not cudnn.deterministic"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["toy"] and found["peak_teraflops"] > 0 and set(found["models"]) == set(MODELS)
    for name, model in found["models"].items():
        assert [(row["loop"], row["batch"]) for row in model["rows"]] == [
            ("plain", 1), ("plain", 2), ("generator", 1), ("generator", 2)
        ]  # fmt: skip
        for row in model["rows"]:
            work = model["teraflops_a_picture"] / found["peak_teraflops"]
            assert row["share_of_peak"] == pytest.approx(row["images_per_second"] * work) and row["share_of_peak"] > 0
        assert model["times_plain"]["generator"] > 0
        assert f"| {name}, 64x64, 2 steps | generator | 2 |" in done.stderr


def test_true_sizes_are_the_published_ones() -> None:
    sizes = {
        name: parameters_of(make(model, False, torch.device("meta"), torch.bfloat16)) for name, model in MODELS.items()
    }
    clip = 123_060_480
    assert sizes == {
        "sd15": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": clip},
        "sdxl": {"unet": 2_567_463_684, "vae": 83_653_863, "text_encoder": clip, "text_encoder_2": 694_659_840},
        "flux-schnell": {
            "transformer": 11_891_178_560,
            "vae": 83_819_683,
            "text_encoder": clip,
            "text_encoder_2": 4_762_310_656,
        },
    }


def test_operations_are_those_of_the_formula() -> None:
    linear, image = nn.Linear(16, 32, bias=False), nn.Conv2d(3, 8, 3, padding=1, bias=False)

    def draw(steps: int) -> None:
        with torch.no_grad():
            image(torch.ones(1, 3, 8, 8))  # once a picture
            for _ in range(steps):
                linear(torch.ones(4, 16))
                query = torch.ones(1, 2, 64, 8)
                nn.functional.scaled_dot_product_attention(query, query, query)

    once, step = 2 * 8 * 3 * 9 * 64, 2 * 4 * 16 * 32 + 2 * 2 * (2 * 64 * 64 * 8)
    assert counted(draw, 3) == once + 3 * step
    assert picture_flops(draw, 50) == once + 50 * step
    assert list(PEAKS).index("H100 PCIe") < list(PEAKS).index("H100")


def test_a_batch_that_does_not_fit_is_left_out() -> None:
    device, model = torch.device("cpu"), MODELS["flux-schnell"]
    made = make(model, True, device, torch.float32)
    two, one = (generator_of(made, ModelOptions(micro_batch=rows), device) for rows in (2, 1))
    call = type(made).__call__

    class Small(type(made)):  # type: ignore[misc]
        def __call__(self, prompt: list[str], **settings: object) -> object:
            if len(prompt) > 1:
                raise torch.OutOfMemoryError("no room")
            return call(self, prompt, **settings)

    made.__class__ = Small
    small = replace(model, side=64, steps=1)
    assert timed(our_loop(two, small), 2, 1, device) is None  # it halves, and that is no speed of two
    assert timed(our_loop(one, small), 1, 1, device) is not None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_true_sizes_are_refused_without_a_gpu() -> None:
    with pytest.raises(InvalidJob, match="give --toy"):
        suite_command("gpu", 1, False, False)
    with pytest.raises(InvalidJob, match="no suite of the benchmark is called 'cpu'"):
        suite_command("cpu", 1, False, False)
