"""The house itself: imports point one way, the wheel carries everything, the README tells the truth."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import torch

from imagen_model import Imagen
from imagen_model.catalog import BUNDLED, bundled_models
from imagen_model.generation import GenerationRequest, Success
from imagen_model.illustrations.checker import read_objects
from imagen_model.imagen_generator import ImagenGenerator

ALLOWED = {
    "imagen_model": {"imagen_model"},
    "pipelines": {"imagen_model", "pipelines"},
    "jobs": {"imagen_model", "pipelines", "jobs"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package: str) -> None:
    files = list(Path(package).rglob("*.py"))
    assert files
    for path in files:
        wrong = (imported(path) & set(ALLOWED)) - ALLOWED[package]
        if package == "imagen_model":
            wrong |= imported(path) & {"ray", "fastapi", "pyarrow", "fsspec", "pydantic"}
        assert not wrong, f"{path} imports {wrong}"


def test_the_model_trains_without_the_command_lines_packages() -> None:
    code = (
        "import sys; import imagen_model.training.loop, imagen_model.imagen_generator;"
        "print([m for m in ('ray', 'pydantic', 'fsspec.implementations.local') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ray" not in run.stdout and "pydantic" not in run.stdout


def test_the_wheel_is_installed_elsewhere_and_works(tmp_path: Path) -> None:
    """Built, put into an environment of its own that borrows only the third-party packages, and run."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("imagegen-*.whl")
    assert wheel.stat().st_size <= 60e6
    venv.create(tmp_path / "env", with_pip=False)
    site = subprocess.run(
        [sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(pip, check=True)
    code = (
        f"import sys; sys.path[:0] = [{str(target)!r}]; sys.path.append({site!r});"
        "import imagen_model; from imagen_model import Imagen;"
        "print(imagen_model.__file__, Imagen.from_pretrained('imagen-small').generate_image('a red circle').size)"
    )
    python = str(tmp_path / "env" / "bin" / "python")
    run = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert str(target) in run.stdout and "(256, 256)" in run.stdout


def test_the_readmes_python_runs() -> None:
    block = re.search(r"```python\n(from imagen_model.*?)```", Path("README.md").read_text(), re.DOTALL)
    assert block is not None
    lines = block[1].replace("log_likelihood(image,", "log_likelihood(model.generate_image('a red circle'),")
    exec(lines, {})


@pytest.mark.parametrize("name", bundled_models())
def test_a_bundled_model_fits_its_promises(name: str) -> None:
    folder = BUNDLED / name
    assert sum(path.stat().st_size for path in folder.glob("*.safetensors")) <= 40e6
    card = (folder / "README.md").read_text()
    for words in ("imagegen train", "imagegen evaluate", "held out", "CPU"):
        assert words in card
    model = Imagen.from_pretrained(name)
    assert model.config.image_size == 16 and model.dtype == torch.float32
    drawn = ImagenGenerator(model).generate([GenerationRequest("a photo of a red heart", 1, best_of=4)])
    assert isinstance(drawn[0], Success)
    (seen,) = read_objects(drawn[0].image)  # a pair of colour and shape that no training picture held
    assert (seen.colour, seen.shape) == ("red", "heart")
