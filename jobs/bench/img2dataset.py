"""Publishing beside img2dataset: the same flat colours at 256x256, JPEG quality 95, in tar shards, on the same cores.

img2dataset reads each picture from a local file, decodes and encodes it; this pipeline paints and encodes it.
Both write .jpg, .txt and .json for each, and a Parquet file of metadata for each shard.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, JpegImagePlugin

from imagen_model.flat_colour import FlatColourGenerator
from imagen_model.generation import GenerationRequest, Success
from pipelines.encoding import Encoder

from ..console import say
from .img2dataset_peer import PYTHONS, PeerSettings, Rates, run_peer
from .peer import install
from .tables import write_prompts
from .throughput import ratio

IMAGES = 20_000
TRIED_ON = 5_000
SIDE = 256
QUALITY = 95


def measure_img2dataset(rounds: int) -> dict[str, Any]:
    """Rounds of both in turn, img2dataset with the settings that were fastest for it in short tries before."""
    cores = os.cpu_count() or 1
    commands = install("img2dataset", PYTHONS)  # some 300 MB
    with tempfile.TemporaryDirectory(prefix="imagegen-bench-") as name:
        folder = Path(name)
        prompts = write_prompts(folder / "prompts.parquet", IMAGES)
        write_sources(prompts, folder)
        chosen = fastest(commands, folder, cores)
        peers, ours = [], []
        for _ in range(rounds):
            peers.append(run_peer(commands, folder / "urls.parquet", folder / "peer", IMAGES, chosen))
            ours.append(run_ours(prompts, folder / "ours", cores))
            say(f"img2dataset {peers[-1].working:.0f} images/s, imagegen {ours[-1].working:.0f}")
        check_codecs(next((folder / "peer").glob("*.tar")), next((folder / "ours/data").glob("*.tar")))
    return {
        "cores": cores,
        "images": IMAGES,
        "compared": "from the first picture begun to the last shard written; wall: the whole command",
        "img2dataset": "1.47.0",
        "img2dataset_processes": chosen.processes,
        "img2dataset_threads": chosen.threads,
        "img2dataset_shard_samples": chosen.shard_samples,
        "img2dataset_images_per_second": round(statistics.median(rates.working for rates in peers), 1),
        "imagegen_images_per_second": round(statistics.median(rates.working for rates in ours), 1),
        "ratio": ratio([rates.working for rates in ours], [rates.working for rates in peers]),
        "img2dataset_wall_images_per_second": round(statistics.median(rates.wall for rates in peers), 1),
        "imagegen_wall_images_per_second": round(statistics.median(rates.wall for rates in ours), 1),
        "wall_ratio": ratio([rates.wall for rates in ours], [rates.wall for rates in peers]),
    }


def write_sources(prompts: Path, folder: Path) -> None:
    """The pictures of the prompts as files, and the tables that name all and the first of them for img2dataset."""
    generator, encoder = FlatColourGenerator(), Encoder("jpeg", QUALITY)
    (folder / "sources").mkdir()
    urls, captions = [], []
    for row in pq.read_table(prompts).to_pylist():
        result = generator.paint(GenerationRequest(row["prompt"], row["seed"], width=SIDE, height=SIDE))
        assert isinstance(result, Success)
        path = folder / "sources" / f"{row['seed']:06d}.jpg"
        path.write_bytes(encoder.encode(result.image))
        urls.append(path.as_uri())
        captions.append(row["prompt"])
    table = pa.table({"url": urls, "caption": captions})
    pq.write_table(table, folder / "urls.parquet")
    pq.write_table(table.slice(0, TRIED_ON), folder / "few.parquet")


def fastest(commands: Path, folder: Path, cores: int) -> PeerSettings:
    """Of a few settings on a part of the pictures. Each process gets a few shards: it starts anew after five."""
    tried: dict[PeerSettings, float] = {}
    for processes in (cores, 2 * cores):
        for threads in (1, 4, 16):
            settings = PeerSettings(processes, threads, TRIED_ON // (2 * processes))
            tried[settings] = run_peer(commands, folder / "few.parquet", folder / "tried", TRIED_ON, settings).working
            say(f"img2dataset with {processes} processes of {threads} threads: {tried[settings]:.0f} images/s")
    best = max(tried, key=lambda settings: tried[settings])
    return PeerSettings(best.processes, best.threads, IMAGES // (4 * best.processes))


def run_ours(prompts: Path, output: Path, cores: int) -> Rates:
    shutil.rmtree(output, ignore_errors=True)
    options = ["--model", "flat-colour", "--size", f"{SIDE}x{SIDE}", "--image-format", "jpeg", "--json"]
    options += ["--quality", str(QUALITY), "--output-format", "webdataset", "--workers", str(cores)]
    options += ["--shard-rows", "1000"]  # a picture takes half a millisecond: fewer commits, as for the other side
    began = time.perf_counter()
    said = subprocess.run(
        [sys.executable, "-c", "from jobs.cli import main; main()", "generate", str(prompts), str(output), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "RAY_worker_niceness": "0"},  # Ray's 15 would yield to whatever else the machine does
        check=True,
    ).stdout
    seconds = time.perf_counter() - began
    summary = json.loads(said)
    if summary["succeeded"] != IMAGES:
        raise RuntimeError(f"imagegen wrote {summary['succeeded']} of {IMAGES} images")
    return Rates(summary["images_per_second"], IMAGES / seconds)


def check_codecs(one: Path, other: Path) -> None:
    """Both write JPEG with the same quantisation and chroma sampling, or the comparison means nothing.

    Raises:
        RuntimeError: they differ.
    """
    found = [codec(path) for path in (one, other)]
    if found[0] != found[1]:
        raise RuntimeError(f"the codecs differ: {found[0]} and {found[1]}")


def codec(path: Path) -> tuple[object, ...]:
    """Size, quantisation tables and chroma sampling of an archive's first picture."""
    with tarfile.open(path) as tar:
        member = next(info for info in tar if info.name.endswith(".jpg"))
        file = tar.extractfile(member)
        assert file is not None
        image = Image.open(io.BytesIO(file.read()))
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        return image.size, image.quantization, JpegImagePlugin.get_sampling(image)
