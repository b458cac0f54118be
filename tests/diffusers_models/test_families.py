"""A dozen families of diffusers pipelines, tiny, weights random, through `generate`, `verify` and the server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from imagen_model.generation import GenerationRequest
from pipelines.encoding import Encoder
from pipelines.online.app import create_app
from pipelines.online.batcher import Batch
from pipelines.online.keys import Keys
from pipelines.online.replica import Load, Painter
from pipelines.online.service import ServedModel, Service
from pipelines.online.settings import ServeSettings
from pipelines.progress import Summary
from pipelines.verify import verify
from pipelines.weights import find_source

from .conftest import hashes, rows
from .tiny import FAMILIES

PROMPTS = ["a red circle", "three blue squares, drawn with a pencil", "a cat"]
SEEDS = [7, 4294967295, 7]


async def ask(source_folder: Path, prompts: list[str]) -> list[bytes]:
    """The pictures that a server's ingress and replica give, both in this process, all asked for at once."""
    source = find_source(str(source_folder))
    settings = ServeSettings(model=str(source_folder))
    painter = Painter(source.load(device="cpu"), None, settings.max_queue)
    served = ServedModel(source.name, source.revision, source.rules, frozenset({source.name}), 0)
    service = Service(settings, served, Keys((), None), painter)
    service.metrics.hear(Load("replica", queued=0, running=0, batches=(Batch(1, 1.0),)))
    transport = httpx2.ASGITransport(app=create_app(service))
    try:
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            entry = (await client.get("/v1/models")).json()["data"][0]
            assert entry["id"] == source.name and entry["sizes"]
            description = (await client.get("/openapi.json")).json()
            assert "/v1/images/generations" in description["paths"]
            bodies = [
                {"prompt": prompt, "seed": seed, "size": "32x32", "num_inference_steps": 2}
                for prompt, seed in zip(prompts, SEEDS, strict=True)
            ]
            answers = await asyncio.gather(*(client.post("/v1/images/generations", json=body) for body in bodies))
            assert [answer.status_code for answer in answers] == [200] * len(prompts), answers[0].text
            return [base64.b64decode(answer.json()["data"][0]["b64_json"]) for answer in answers]
    finally:
        await painter.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_generate_verify_and_serve_agree(
    family: str, model: Callable[[str], Path], table: Callable[..., str], run: Callable[..., Summary], tmp_path: Path
) -> None:
    prompts = table(prompt=PROMPTS, seed=SEEDS)
    summary = run(prompts, tmp_path / "out", model(family), size="32x32", num_inference_steps=2)
    assert (summary.succeeded, summary.failed) == (3, 0), summary.codes
    report = verify(str(tmp_path / "out"))
    assert report.ok and report.images == 3, report.problems
    made = rows(tmp_path / "out")
    assert len({row["sha256"] for row in made}) == 3
    with Image.open(tmp_path / "out" / made[0]["file_name"]) as picture:
        assert picture.size == (32, 32) and len(set(picture.getdata())) > 50
    pictures = asyncio.run(ask(model(family), PROMPTS))
    assert [hashlib.sha256(picture).hexdigest() for picture in pictures] == hashes(tmp_path / "out")


def test_a_picture_is_the_one_that_diffusers_makes_alone(model: Callable[[str], Path]) -> None:
    pipeline = DiffusionPipeline.from_pretrained(model("stable_diffusion"))
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(11)
    expected = pipeline("a red circle", num_inference_steps=3, generator=generator).images[0]
    request = GenerationRequest("a red circle", 11, num_inference_steps=3)
    (made,) = find_source(str(model("stable_diffusion"))).load(device="cpu").generate([request])
    assert Encoder("png").encode(made.image) == Encoder("png").encode(expected)


def test_the_driver_reads_a_model_without_torch(model: Callable[[str], Path]) -> None:
    code = (
        "import sys; from pipelines.weights import find_source;"
        f"print(find_source({str(model('stable_diffusion'))!r}).rules.defaults);"
        "sys.exit(len({'torch', 'diffusers', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "num_inference_steps" in done.stdout


def test_counting_tokens_disturbs_no_pipeline_that_reads_prompts(model: Callable[[str], Path]) -> None:
    """A server counts in its event loop while the model's thread draws; fast tokenizers keep settings between calls."""
    generator = find_source(str(model("stable_diffusion"))).load(device="cpu")
    requests = [GenerationRequest(f"picture {number}", number, num_inference_steps=1) for number in range(60)]
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            generator.group_key(generator.rules.resolve(requests[0]))

    with ThreadPoolExecutor(1) as threads:
        counting = threads.submit(count)
        try:
            results = [generator.generate([request])[0] for request in requests]
        finally:
            stop.set()
        counting.result()
    alone = find_source(str(model("stable_diffusion"))).load(device="cpu").generate(requests)
    assert [one.image.tobytes() for one in results] == [one.image.tobytes() for one in alone]
