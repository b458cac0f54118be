"""A cascade of denoising U-Nets that makes 256x256 pictures, beside imagen-pytorch's with the same sizes, steps,
guidance and number of parameters. The weights are random on both sides: they change no time.

Each side has the shapes that it is made for: ours cells of several pixels, imagen-pytorch those of its README.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imagen_model import Imagen
from imagen_model.config import DEFAULT_WORLD, ImagenConfig
from imagen_model.generation import Failure, GenerationRequest
from imagen_model.imagen_generator import ImagenGenerator
from imagen_model.training.building import OWN_TEXT_ENCODER
from imagen_model.worlds import find_world

from ..console import say
from .peer import install
from .throughput import ratio

SAMPLER = Path(__file__).with_name("imagen_pytorch_sampler.py")
PEER_VERSION = "2.1.0"
NUMBERS = (1, 16)  # pictures of a call
BASE_SIZE, SIZE, STEPS = 64, 256, 4
GUIDANCE = 3.0  # of the base; super-resolution has none
TOKENS = 32
BASE = {
    "image_size": BASE_SIZE,
    "unshuffle": 2,
    "channels": [64, 128, 192],
    "blocks": [1, 2, 3],
    "strides": [1, 2, 2],
    "self_attention": [False, True, True],
    "text_attention": [False, True, True],
    "embedding_size": 320,
}
SUPER_RESOLUTION = {
    "image_size": SIZE,
    "low_resolution_size": BASE_SIZE,
    "unshuffle": 4,
    "channels": [64, 128, 192],
    "blocks": [2, 4, 3],
    "strides": [1, 2, 2],
    "self_attention": [False, False, True],
    "text_attention": [False, False, True],
    "embedding_size": 320,
    "augmentation": 0.2,
}
# As in imagen-pytorch's README, narrower.
TEXT_SIZE = OWN_TEXT_ENCODER["hidden_size"]
PEER_COMMON = {"cond_dim": 128, "text_embed_dim": TEXT_SIZE, "dim_mults": [1, 2, 4, 8]}
PEER_BASE = PEER_COMMON | {
    "dim": 24,
    "num_resnet_blocks": 3,
    "layer_attns": [False, True, True, True],
    "layer_cross_attns": [False, True, True, True],
}
PEER_SUPER_RESOLUTION = PEER_COMMON | {
    "dim": 16,
    "num_resnet_blocks": [2, 4, 8, 8],
    "layer_attns": [False, False, False, True],
    "layer_cross_attns": [False, False, False, True],
    "memory_efficient": True,
}
PEER_CASCADE = {
    "unets": [PEER_BASE, PEER_SUPER_RESOLUTION],
    "sizes": [BASE_SIZE, SIZE],
    "steps": [STEPS, STEPS],
    "guidance": [GUIDANCE, 1.0],
    "tokens": TOKENS,
    "text_size": TEXT_SIZE,
}
# imagen-pytorch reads the width of its text encoder from the hub when it is imported, also where none is used.
PEER_TEXT_ENCODER = Path("google/t5-v1_1-base/config.json")


def measure_imagen_pytorch(rounds: int) -> dict[str, Any]:
    """Seconds of a call for one and for 16 pictures, and the base's share of them; ours on one thread, the peer on as
    many as are fastest for it."""
    generator = our_cascade()
    nets = (generator.model.denoiser, *generator.model.stages)
    found: dict[str, Any] = {
        "imagen_pytorch": PEER_VERSION,
        "sizes": [BASE_SIZE, SIZE],
        "steps": STEPS,
        "parameters": [sum(part.numel() for part in net.parameters()) for net in nets],
    }
    commands = install("imagen-pytorch", with_needs=False)
    threads = fastest(commands)
    with peer_running(commands, threads) as (peer, counts):
        found |= {"imagen_pytorch_parameters": counts, "imagen_pytorch_threads": threads}
        for pictures in NUMBERS:
            found[f"pictures_{pictures}"] = compare(generator, peer, pictures, rounds)
    return found


def our_cascade() -> ImagenGenerator:
    tokenizer = find_world(DEFAULT_WORLD).tokenizer(TOKENS)
    text = OWN_TEXT_ENCODER | {"vocab_size": len(tokenizer), "max_position_embeddings": TOKENS}
    config = ImagenConfig(
        base="denoising_unet",
        denoiser=BASE,
        super_resolution=[SUPER_RESOLUTION],
        image_size=BASE_SIZE,
        text_config=text,
        max_text_tokens=TOKENS,
        display_factor=1,
        sampling_defaults={"guidance_scale": GUIDANCE, "num_inference_steps": STEPS},
    )
    return ImagenGenerator(Imagen(config, tokenizer).eval())


def compare(generator: ImagenGenerator, peer: Peer, pictures: int, rounds: int) -> dict[str, Any]:
    ours, our_bases, theirs, their_bases = [], [], [], []
    for _ in range(rounds):
        our_bases.append(our_seconds(generator, pictures, BASE_SIZE))
        ours.append(our_seconds(generator, pictures, SIZE))
        answer = peer.sample(pictures)
        theirs.append(answer["seconds"])
        their_bases.append(answer["stages"][0])
        say(f"{pictures} pictures: imagen-pytorch {theirs[-1]:.2f} s, imagegen {ours[-1]:.2f} s")
    return {
        "seconds": round(statistics.median(ours), 3),
        "base_share": ratio(our_bases, ours),
        "imagen_pytorch_seconds": round(statistics.median(theirs), 3),
        "imagen_pytorch_base_share": ratio(their_bases, theirs),
        "times_as_fast": ratio(theirs, ours),
    }


def our_seconds(generator: ImagenGenerator, pictures: int, side: int) -> float:
    """Of a call that ends with the base for its size, or with super-resolution."""
    requests = [GenerationRequest("a red circle", seed, width=side, height=side) for seed in range(pictures)]
    began = time.perf_counter()
    results = generator.generate(requests)
    seconds = time.perf_counter() - began
    if any(isinstance(result, Failure) for result in results):
        raise RuntimeError(f"imagegen drew no picture: {results[0]}")
    return seconds


class Peer:
    """A process that waits for numbers of pictures; idle, it takes nothing."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def sample(self, pictures: int) -> dict[str, Any]:
        assert self.process.stdin is not None
        print(pictures, file=self.process.stdin, flush=True)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"imagen-pytorch ended; see what `{self.process.args!r:.200}` says")
        return dict(json.loads(line))


@contextmanager
def peer_running(commands: Path, threads: int) -> Iterator[tuple[Peer, list[int]]]:
    """The peer, warm, and the parameters of its stages."""
    arguments = [str(threads), json.dumps(PEER_CASCADE), sysconfig.get_path("purelib")]
    with tempfile.TemporaryDirectory(prefix="imagegen-bench-") as folder:
        text_encoder = Path(folder) / PEER_TEXT_ENCODER
        text_encoder.parent.mkdir(parents=True)
        text_encoder.write_text(json.dumps({"model_type": "t5", "d_model": 768}))
        with subprocess.Popen(
            [str(commands / "python"), "-P", str(SAMPLER), *arguments],
            cwd=folder,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            peer = Peer(process)
            counts = peer.answer()["parameters"]
            peer.sample(1)
            try:
                yield peer, counts
            finally:
                process.kill()


def fastest(commands: Path) -> int:
    """The number of threads with which one picture takes the peer the least time."""
    tried = {}
    for threads in sorted({1, os.cpu_count() or 1}):
        with peer_running(commands, threads) as (peer, _):
            tried[threads] = min(peer.sample(1)["seconds"] for _ in range(2))
        say(f"imagen-pytorch on {threads} threads: {tried[threads]:.2f} s for one picture")
    return min(tried, key=lambda threads: tried[threads])
