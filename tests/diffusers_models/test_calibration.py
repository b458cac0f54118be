"""The micro-batch that is worth its size: measured on a model whose cost is known, kept, pinned."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from imagen_model.catalog import ModelNotFound
from imagen_model.generation import GenerationRequest, InvalidRequest
from imagen_model.open_models.calibration import Measured, choose, measure
from imagen_model.open_models.generator import DiffusersGenerator
from imagen_model.open_models.options import ModelOptions
from imagen_model.open_models.running import RunShape
from pipelines.calibrating import calibrate, read_calibrations
from pipelines.progress import Summary
from pipelines.weights import find_source

from .conftest import hashes


def test_the_smallest_within_three_percent_of_the_best_is_chosen() -> None:
    rates = {1: 1.0, 2: 1.9, 4: 2.5, 8: 2.55, 16: 2.57}
    assert choose([Measured(rows, rate, None) for rows, rate in rates.items()]) == 4
    assert choose([Measured(1, 1.0, None), Measured(2, 1.02, None)]) == 1
    assert choose([]) == 1


def test_growth_ends_where_memory_does(model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A device on which a run costs 20 ms whatever its rows, and that holds five of them."""
    ran: list[int] = []

    def run(self: DiffusersGenerator, requests: list[GenerationRequest], shape: RunShape) -> list[Any]:
        ran.append(len(requests))
        if len(requests) > 5:
            raise torch.OutOfMemoryError("no room")
        time.sleep(0.02)
        return []

    monkeypatch.setattr(DiffusersGenerator, "run", run)
    found = measure(find_source(str(model("stable_diffusion"))).load(device="cpu"), 16, 16)
    assert [one.rows for one in found] == [1, 2, 4] and choose(found) == 4
    assert ran == [1] * 4 + [2] * 4 + [4] * 4 + [8]
    with pytest.raises(TypeError, match="only diffusers models"):
        measure(find_source("flat-colour").load(), 64, 64)


def test_auto_is_measured_once_and_pinned(
    model: Callable[[str], Path],
    table: Callable[..., str],
    run: Callable[..., Summary],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a process of its own, as a job does it."""
    monkeypatch.setenv("IMAGEGEN_CACHE", str(tmp_path / "cache"))
    folder, options = str(model("stable_diffusion")), ModelOptions(micro_batch="auto")
    with pytest.raises(InvalidRequest, match="any multiple of 8"):
        calibrate(folder, options, "cpu", (17, 16))
    with pytest.raises(ModelNotFound, match="takes none of its settings"):
        calibrate("flat-colour", ModelOptions(dtype="float32"), "cpu", None)
    prompts, settings = table(prompt=["a", "b", "c"], seed=[1, 2, 3]), {"num_inference_steps": 1}
    run(prompts, tmp_path / "auto", folder, options=options, **settings)
    (known,) = read_calibrations().values()
    rows = known["rows"]
    assert [one["rows"] for one in known["measured"]] == [1, 2, 4, 8, 16] and rows in (1, 2, 4, 8, 16)
    plan = json.loads((tmp_path / "auto/.run/plan.json").read_text())
    assert plan["settings"]["options"] == {"micro_batch": rows}
    run(prompts, tmp_path / "number", folder, options=ModelOptions(micro_batch=rows), **settings)
    assert hashes(tmp_path / "auto") == hashes(tmp_path / "number")
    (tmp_path / "cache/calibrations.json").unlink()  # the plan has the number, so nothing is measured anew
    assert run(prompts, tmp_path / "auto", folder, options=options, **settings).shards_skipped == 1
    assert read_calibrations() == {}
