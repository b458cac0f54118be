"""Other people's programs beside which this one is measured, each in an environment of its own, installed from pins."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import InvalidJob
from pipelines.model_cache import cache_folder

from ..console import say


def install(name: str, pythons: Sequence[tuple[int, int]] = (), with_needs: bool = True) -> Path:
    """The folder of the peer's commands; installs `NAME-requirements.txt`, beside this file, the first time.

    Args:
        pythons: those for which the pins are; all where none is named.
        with_needs: whether pip sees to what the pins need; without, it installs them alone and the rest is borrowed.

    Raises:
        InvalidJob: this Python is none of them, or pip failed.
    """
    if pythons and sys.version_info[:2] not in pythons:
        wanted = " or ".join(f"{major}.{minor}" for major, minor in pythons)
        raise InvalidJob(f"{name} needs Python {wanted}, this is {sys.version.split()[0]}; run it with one of them")
    requirements = Path(__file__).with_name(f"{name}-requirements.txt")
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = cache_folder() / "peers" / f"{name}-{digest}"
    commands = folder / "bin"
    if not (folder / "installed").exists():
        say(f"installing {name} into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [str(commands / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        pip += [] if with_needs else ["--no-deps"]
        if subprocess.run([*pip, "--requirement", str(requirements)]).returncode:
            raise InvalidJob(f"pip could not install {requirements.name}; see its messages above")
        (folder / "installed").touch()
    return commands
