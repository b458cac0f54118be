"""`imagegen retry --offload`: the plan does not hold where weights wait, so the command says it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imagen_model.generation import Generator
from imagen_model.open_models.source import DiffusersSource
from jobs.cli import app
from pipelines.progress import Summary

from .conftest import rows


def test_retry_offloads_as_told(
    model: Callable[[str], Path],
    table: Callable[..., str],
    run: Callable[..., Summary],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, offloads, load = tmp_path / "out", [], DiffusersSource.load
    run(table(prompt=["a", "b" * 76]), out, model("stable_diffusion"), num_inference_steps=1, report=False)

    def noted(self: DiffusersSource, batch_size: int | None = None, device: str = "auto") -> Generator:
        offloads.append(self.options.offload)
        return load(self, batch_size, device)

    monkeypatch.setattr(DiffusersSource, "load", noted)
    done = CliRunner().invoke(app, ["retry", str(out), "--offload", "sequential", "--device", "cpu", "--no-report"])
    assert offloads == ["sequential"], done.output
    assert [row["attempts"] for row in rows(out)] == [1, 2]
