"""Tiny diffusers models on disk, each written once a session, and jobs with them in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.batch import run_batch
from pipelines.job import BatchJob, Pool
from pipelines.progress import Summary
from pipelines.stage import Source
from tests.inline import without_ray

from .tiny import FAMILIES


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of the tiny model of a family."""
    base = tmp_path_factory.mktemp("models")

    def find(family: str) -> Path:
        if not (base / family).exists():
            FAMILIES[family](base / family)
        return base / family

    return find


@pytest.fixture
def copy(model: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """A model of which a test may spoil something."""

    def make(family: str = "stable_diffusion") -> Path:
        return Path(shutil.copytree(model(family), tmp_path / "copy" / family))

    return make


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., str]:
    """Writes columns to a Parquet file and gives its path."""

    def write(name: str = "prompts.parquet", **columns: Any) -> str:
        pq.write_table(pa.table(columns), tmp_path / name)
        return str(tmp_path / name)

    return write


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Summary]:
    """A job without Ray; settings as those of `BatchJob`."""
    without_ray(monkeypatch)

    def make(prompts: str, output: Path, model: Path | str, source: Source | None = None, **settings: Any) -> Summary:
        pool = Pool(workers=1, batch_size=settings.pop("batch_size", None), device="cpu")
        return run_batch(BatchJob(prompts, str(output), model=str(model), pool=pool, **settings), source=source)

    return make


def rows(output: Path) -> list[dict[str, Any]]:
    """Every manifest row, in order."""
    return pq.read_table(output / "manifest").to_pylist()


def hashes(output: Path) -> list[str | None]:
    return [row["sha256"] for row in rows(output)]
