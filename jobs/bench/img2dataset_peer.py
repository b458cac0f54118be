"""img2dataset: run by its command, judged by its statistics."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

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
