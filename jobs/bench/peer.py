"""img2dataset in an environment of its own: installed once from pins, run by its command, judged by its statistics."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import InvalidJob
from pipelines.model_cache import cache_folder

from ..report import say

REQUIREMENTS = Path(__file__).with_name("img2dataset-requirements.txt")
PYTHONS = ((3, 11), (3, 12))  # it needs `imghdr`, which left Python with 3.13


@dataclass(frozen=True, slots=True)
class Rates:
    """Images a second.

    Args:
        working: from the first picture begun to the last shard written.
        wall: from the start of the command to its end.
    """

    working: float
    wall: float


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """What img2dataset leaves to its user: processes, threads in each, samples a shard."""

    processes: int
    threads: int
    shard_samples: int


def install() -> Path:
    """The folder of the peer's commands; downloads some 300 MB the first time.

    Raises:
        InvalidJob: this Python is none for which the pins are, or pip failed.
    """
    if sys.version_info[:2] not in PYTHONS:
        wanted = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
        raise InvalidJob(
            f"img2dataset needs Python {wanted}, this is {sys.version.split()[0]}; run it with one of them"
        )
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = cache_folder() / "peers" / f"img2dataset-{digest}"
    commands = folder / "bin"
    if not (folder / "installed").exists():
        say(f"installing img2dataset into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [str(commands / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        if subprocess.run([*pip, "--requirement", str(REQUIREMENTS)]).returncode:
            raise InvalidJob(f"pip could not install {REQUIREMENTS.name}; see its messages above")
        (folder / "installed").touch()
    return commands


def run_peer(commands: Path, urls: Path, output: Path, images: int, chosen: PeerSettings) -> Rates:
    """Read each JPEG, decode it and encode it anew at quality 95 into tar shards: the least that it can be asked for.

    Robot directives, EXIF and resizing are off, for the other side does nothing of the kind.
    """
    shutil.rmtree(output, ignore_errors=True)
    options = {
        "url_list": urls,
        "input_format": "parquet",
        "url_col": "url",
        "caption_col": "caption",
        "output_folder": output,
        "output_format": "webdataset",
        "encode_format": "jpg",
        "encode_quality": 95,
        "image_size": 256,
        "resize_mode": "no",
        "extract_exif": False,
        "disallowed_header_directives": "[]",
        "enable_wandb": False,
        "processes_count": chosen.processes,
        "thread_count": chosen.threads,
        "number_sample_per_shard": chosen.shard_samples,
    }
    quiet = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled"}
    began = time.perf_counter()
    subprocess.run(
        [str(commands / "img2dataset"), *(f"--{name}={value}" for name, value in options.items())],
        env=quiet,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.perf_counter() - began
    shards = [json.loads(path.read_text()) for path in output.glob("*_stats.json")]
    written = sum(shard["successes"] for shard in shards)
    if written != images:
        raise RuntimeError(f"img2dataset wrote {written} of {images} images with {chosen}")
    span = max(shard["end_time"] for shard in shards) - min(shard["start_time"] for shard in shards)
    return Rates(images / span, images / seconds)
