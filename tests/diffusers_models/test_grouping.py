"""Rows that can share a run are run together wherever they stand in a shard: no run is filled up for want of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from imagen_model.catalog import find_model
from imagen_model.generation import GenerationRequest
from imagen_model.open_models.generator import DiffusersGenerator
from imagen_model.open_models.options import ModelOptions
from imagen_model.open_models.running import RunShape
from imagen_model.open_models.tokens import TokenCounter
from pipelines.progress import Summary

from .conftest import rows

SIZES = ("16x16", "24x16", "16x24", "24x24")


def test_interleaved_sizes_fill_every_run(
    model: Callable[[str], Path],
    table: Callable[..., str],
    run: Callable[..., Summary],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs: list[list[int]] = []
    draw = DiffusersGenerator.run

    def counted(self: DiffusersGenerator, requests: list[GenerationRequest], shape: RunShape) -> list[Any]:
        runs.append([request.seed for request in requests])
        return draw(self, requests, shape)

    read: list[str] = []
    count = TokenCounter.count

    def heard(self: TokenCounter, text: str) -> tuple[int, ...]:
        read.append(text)
        return count(self, text)

    monkeypatch.setattr(DiffusersGenerator, "run", counted)
    monkeypatch.setattr(TokenCounter, "count", heard)
    found = []
    for order in (range(16), sorted(range(16), key=lambda row: row % 4)):
        runs.clear()
        read.clear()
        prompts = table(
            f"{len(found)}.parquet", prompt=["a"] * 16, seed=list(order), size=[SIZES[n % 4] for n in order]
        )
        out = tmp_path / f"out{len(found)}"
        options = ModelOptions(micro_batch=4)
        run(prompts, out, model("stable_diffusion"), options=options, num_inference_steps=1, report=False)
        made = rows(out)
        assert [row["seed"] for row in made] == list(order)
        assert read == ["a"]  # once for all rows, and not again for each batch
        assert len(runs) == 4 and all(len(set(seeds)) == 4 for seeds in runs)
        found.append({row["seed"]: row["sha256"] for row in made})
    assert found[0] == found[1] and None not in found[0].values()


def test_rows_that_rarely_share_a_run_do_not_wait_for_one(model: Callable[[str], Path]) -> None:
    """Of a GPU, where several rows are the default."""
    sizes = {}
    for family in ("qwen_image", "stable_diffusion"):
        loaded = find_model(str(model(family))).load(device="cpu")
        assert isinstance(loaded, DiffusersGenerator)
        generator = DiffusersGenerator(loaded.stages, loaded.rules, torch.device("cuda"))
        request = generator.rules.resolve(GenerationRequest("a", 1, width=256, height=256))
        sizes[family] = generator.group_size(generator.group_key(request))
    assert sizes == {"qwen_image": 1, "stable_diffusion": 8}
