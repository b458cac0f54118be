"""Which layer may import which, and what stays cheap to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PIPELINES = Path(__file__).parents[2] / "pipelines"
MODULES_OF_THE_MODEL = {
    "imagen_model.generation",
    "imagen_model.grey_picture",
    "imagen_model.catalog",
    "imagen_model.fetching",
    "imagen_model.caption_files",
    "imagen_model.captioner_source",
    "imagen_model.nearest",
    "imagen_model.notes",
    "imagen_model.open_models.calibration",  # in a process of its own
    "imagen_model.open_models.options",
    "imagen_model.post_processing",
}


def test_everything_but_the_ray_stage_imports_neither_ray_nor_torch() -> None:
    names = [path.stem for path in PIPELINES.glob("*.py") if path.stem not in {"__init__", "ray_flow"}]
    code = f"import sys, {', '.join(f'pipelines.{name}' for name in names)}; "
    code += "sys.exit(len({'ray', 'torch', 'jobs', 'datasets'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=PIPELINES.parent, check=False).returncode == 0


def test_pipelines_import_only_those_modules_of_the_model_that_they_may() -> None:
    for path in PIPELINES.glob("*.py"):
        lines = [line for line in path.read_text().splitlines() if "import" in line and "imagen_model" in line]
        for line in lines:
            assert line.split()[1] in MODULES_OF_THE_MODEL, (path, line)
        assert "from jobs" not in path.read_text()
