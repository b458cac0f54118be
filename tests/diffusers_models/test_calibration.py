"""The micro-batch that is worth its size: measured on a model whose cost is known, kept, pinned."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from imagen_model.catalog import ModelNotFound
from imagen_model.generation import GenerationRequest, InvalidRequest
from imagen_model.open_models import calibration
from imagen_model.open_models.calibration import Measured, choose, measure
from imagen_model.open_models.generator import DiffusersGenerator
from imagen_model.open_models.options import ModelOptions
from imagen_model.open_models.running import RunShape
from jobs.estimate import describe
from pipelines import batch, calibrating
from pipelines.batch import preview
from pipelines.calibrating import calibrate, read_calibrations
from pipelines.errors import InvalidJob, NoPromptColumn
from pipelines.job import BatchJob, Pool
from pipelines.progress import Summary
from pipelines.weights import find_source

from .conftest import hashes


def test_the_smallest_within_three_percent_of_the_best_is_chosen() -> None:
    rates = {1: 1.0, 2: 1.9, 4: 2.5, 8: 2.55, 16: 2.57}
    assert choose([Measured(rows, rate, None) for rows, rate in rates.items()]) == 4
    assert choose([Measured(1, 1.0, None), Measured(2, 1.02, None)]) == 1
    assert choose([]) == 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A device's time, which its runs put forward; measuring looks at it."""
    now = [0.0]
    monkeypatch.setattr(calibration.time, "perf_counter", lambda: now[0])
    return now


def test_growth_ends_where_memory_does(
    model: Callable[[str], Path], clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that holds five rows: a step costs 1 s whatever its rows, decoding 4 s a row."""

    def run(self: DiffusersGenerator, requests: list[GenerationRequest], shape: RunShape) -> list[Any]:
        if len(requests) > 5:
            raise torch.OutOfMemoryError("no room")
        clock[0] += (shape.steps or 0) + 4 * len(requests)
        return []

    monkeypatch.setattr(DiffusersGenerator, "run", run)
    generator = find_source(str(model("stable_diffusion"))).load(device="cpu")
    found = measure(generator, 16, 16, steps=50)
    assert [one.rows for one in found] == [1, 2, 4] and choose(found) == 4
    rates = [one.images_per_second for one in found]
    assert rates == pytest.approx([rows / (50 + 4 * rows) for rows in (1, 2, 4)])
    assert measure(generator, 16, 16)[0].images_per_second == pytest.approx(1 / 54)  # its own 50 steps
    assert measure(generator, 16, 16, steps=3)[0].images_per_second == pytest.approx(1 / 7)
    with pytest.raises(TypeError, match="only diffusers models"):
        measure(find_source("flat-colour").load(), 64, 64)


def test_what_was_measured_holds_for_steps_and_offloading_of_one_kind(
    model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEGEN_CACHE", str(tmp_path / "cache"))
    ran: list[tuple[Any, ...]] = []

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        if function is calibrating.measure_model:
            ran.append(arguments)
            return 2, []
        return function(*arguments)

    monkeypatch.setattr(calibrating, "measuring", lambda pool: nullcontext(call))
    folder, pool = str(model("stable_diffusion")), Pool(device="cpu")
    for options, steps in ((ModelOptions(), 3), (ModelOptions(offload="model"), 3), (ModelOptions(), 4)):
        assert [calibrate(folder, options, pool, (16, 16), steps).known for _ in range(2)] == [False, True]
    assert [arguments[-1] for arguments in ran] == [3, 3, 4]
    assert [arguments[0].options.offload for arguments in ran] == [None, "model", None]


def test_nothing_is_measured_for_a_dry_run_or_before_the_checks(
    model: Callable[[str], Path],
    table: Callable[..., str],
    run: Callable[..., Summary],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def settled(*_: Any) -> ModelOptions:
        raise AssertionError("measured")

    monkeypatch.setattr(batch, "settled", settled)
    folder, options = str(model("stable_diffusion")), ModelOptions(micro_batch="auto")
    prompts = table(prompt=["a"])
    plan = preview(BatchJob(prompts, str(tmp_path / "out"), model=folder, options=options))
    assert "micro-batch auto (not measured)" in describe(plan, None, 1)
    with pytest.raises(ModelNotFound, match="takes none of its settings"):
        preview(BatchJob(prompts, str(tmp_path / "out"), model="flat-colour", options=options))
    with pytest.raises(InvalidJob, match="no parameter temperature"):
        run(prompts, tmp_path / "out", folder, options=options, temperature=1.0)
    with pytest.raises(NoPromptColumn):
        run(table("other.parquet", number=[1]), tmp_path / "out", folder, options=options)
    with pytest.raises(AssertionError, match="measured"):
        run(prompts, tmp_path / "out", folder, options=options)


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
        calibrate(folder, options, Pool(device="cpu"), (17, 16))
    with pytest.raises(ModelNotFound, match="takes none of its settings"):
        calibrate("flat-colour", ModelOptions(dtype="float32"), Pool(device="cpu"))
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
