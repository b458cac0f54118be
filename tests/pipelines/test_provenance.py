"""What files say of their making: read back by other programs, the same from every door, and of the request alone."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import entries, images, job
from generators import TestSource
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sd_parsers import ParserManager
from sd_parsers.data import Generators

from imagen_model.flat_colour import FlatColourGenerator
from imagen_model.generation import GenerationRequest, InvalidRequest
from pipelines.encoding import EncodeFailed, Encoder
from pipelines.errors import InvalidJob, PlanMismatch
from pipelines.online.batches.answers import success_body
from pipelines.online.replica import Job, Painter
from pipelines.online.schemas import parse_request
from pipelines.plan import Settings
from pipelines.progress import Summary
from pipelines.provenance import SOURCE_TYPE, Provenance
from pipelines.retry import retry_failed
from pipelines.verify import verify

FORMATS = ("png", "jpeg", "webp")
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
REQUEST = GenerationRequest(
    'a "red" circle, 日落 & <b>\nsecond line',
    7,
    negative_prompt="blue, ugly",
    width=64,
    height=32,
    num_inference_steps=20,
    guidance_scale=7.0,
    post_processing="denoise, sharpen=0.5",
)
FULL = Provenance("my model", "0123abcd", "full")


def encoded(image_format: str, request: GenerationRequest = REQUEST, provenance: Provenance = FULL) -> bytes:
    return Encoder(image_format).encode(Image.new("RGB", (64, 32), "red"), provenance.label(request))


def description(data: bytes) -> dict[str, str]:
    """Attributes of the XMP's one description, as an XML parser reads them."""
    with Image.open(io.BytesIO(data)) as image:
        packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"]
    text = packet.decode() if isinstance(packet, bytes) else packet
    found = ET.fromstring(text[text.index("?>") + 2 : text.rindex("<?")])
    return dict(found.find(".//{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description").attrib)  # type: ignore[union-attr]


def facts(data: bytes) -> dict[str, Any]:
    with Image.open(io.BytesIO(data)) as image:
        text = image.info.get("imagegen") or description(data)["{urn:imagegen:}facts"]
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_says_that_a_model_made_it_and_from_what(image_format: str) -> None:
    data = encoded(image_format)
    found = description(data)
    assert found[f"{IPTC}DigitalSourceType"] == SOURCE_TYPE
    assert found[f"{IPTC}AISystemUsed"] == "my model" and found[f"{IPTC}AISystemVersionUsed"] == "0123abcd"
    wanted = {name: value for name, value in dataclasses.asdict(REQUEST).items() if value is not None}
    assert facts(data) == wanted | {"model": "my model", "model_revision": "0123abcd"}


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_reader_of_a1111s_files_reads_them(image_format: str) -> None:
    found = ParserManager().parse(io.BytesIO(encoded(image_format)))
    assert found is not None and found.generator == Generators.AUTOMATIC1111
    assert (found.full_prompt, found.full_negative_prompt) == (REQUEST.prompt, REQUEST.negative_prompt)
    (sampler,) = found.samplers
    assert sampler.parameters == {"cfg_scale": "7", "seed": "7", "steps": "20"}
    assert [model.name for model in found.models] == ["my model"]
    assert found.metadata["Size"] == "64x32"


@pytest.mark.parametrize("image_format", FORMATS)
def test_provenance_alone_tells_nothing_of_the_prompt_and_none_is_pixels_only(image_format: str) -> None:
    less = encoded(image_format, provenance=Provenance("my model", "0123abcd", "provenance"))
    assert description(less)[f"{IPTC}DigitalSourceType"] == SOURCE_TYPE
    bare = encoded(image_format, provenance=Provenance("my model", "0123abcd"))
    assert len(bare) < len(less) < len(bare) + 800 and b"second line" not in less
    assert bare == Encoder(image_format).encode(Image.new("RGB", (64, 32), "red")) and b"iptc" not in bare


@given(st.text(min_size=1, max_size=300), st.text(max_size=60), st.floats(0, 100))
@settings(max_examples=100, deadline=None)
def test_any_prompt_comes_back_as_it_was(prompt: str, negative: str, guidance: float) -> None:
    try:
        request = GenerationRequest(prompt, 1, negative_prompt=negative, width=64, height=32, guidance_scale=guidance)
    except InvalidRequest:
        return
    for image_format in FORMATS:
        found = facts(encoded(image_format, request))
        assert (found["prompt"], found.get("negative_prompt", "")) == (prompt, negative)
        assert found["guidance_scale"] == guidance


def test_one_value_in_two_dresses_is_one_file() -> None:
    other = dataclasses.replace(REQUEST, guidance_scale=7)
    assert encoded("png", other) == encoded("png")
    bare = dataclasses.replace(REQUEST, negative_prompt=None)
    assert encoded("webp", dataclasses.replace(REQUEST, negative_prompt="")) == encoded("webp", bare)


def test_what_no_jpeg_holds_is_refused_with_the_limit() -> None:
    long = dataclasses.replace(REQUEST, prompt="日" * 10_000, negative_prompt="🎈" * 10_000)
    assert facts(encoded("png", long))["prompt"] == long.prompt == facts(encoded("webp", long))["prompt"]
    with pytest.raises(EncodeFailed, match="a JPEG holds 65,533"):
        encoded("jpeg", long)


def test_a_file_is_the_same_wherever_its_row_stands(
    tmp_path: Path, table: Callable[..., str], inline: Callable[..., Summary]
) -> None:
    one = table({"prompt": ["a", "b", "c"], "seed": [1, 2, 3]}, "one.parquet")
    two = table({"id": ["x", "y", "z"], "text": ["c", "a", "b"], "seed": ["3", "1", "2"]}, "two.parquet")
    inline(job(one, tmp_path / "one", metadata="full", batch_size=1))
    inline(job(two, tmp_path / "two", metadata="full", shard_rows=1))
    first, second = images(tmp_path / "one"), images(tmp_path / "two")
    assert sorted(first.values()) == sorted(second.values()) and len(set(first.values())) == 3
    assert facts(first["000000000-0.png"])["model_revision"] == "flat-colour-1"


def test_generate_online_and_its_batches_write_one_file(
    tmp_path: Path, table: Callable[..., str], inline: Callable[..., Summary]
) -> None:
    columns = {"prompt": ["a red circle"], "seed": [5], "output_format": ["webp"], "output_quality": [80]}
    columns |= {"post_processing": ["upscale=128x128"]}
    path = table(columns)
    body: dict[str, Any] = {name: cells[0] for name, cells in columns.items() if name != "output_quality"}

    async def online(request: dict[str, Any]) -> bytes:
        painter = Painter(FlatColourGenerator(), None, 8, Provenance("flat-colour", "flat-colour-1", "full"))
        asked = parse_request(json.dumps(request).encode(), frozenset(), FlatColourGenerator.rules)
        (picture,) = await painter.paint(Job(asked.requests, asked.encoder, 60))  # type: ignore[misc]
        await painter.close()
        return picture.data  # type: ignore[union-attr]

    answered = asyncio.run(online(body | {"output_compression": 80}))
    inline(job(path, tmp_path / "webp", metadata="full", image_format="webp", quality=80))
    assert list(images(tmp_path / "webp").values()) == [answered]
    inline(job(path, tmp_path / "png", metadata="full"))
    png = images(tmp_path / "png")["000000000-0.png"]
    assert png == asyncio.run(online({name: value for name, value in body.items() if name != "output_format"}))
    (entry,) = entries(tmp_path / "png")
    (item,) = success_body([(entry, png)], Provenance("flat-colour", "flat-colour-1", "full"))["data"]
    assert base64.b64decode(item["b64_json"]) == answered


def test_runs_from_before_there_was_metadata_go_on_as_they_were(
    tmp_path: Path, table: Callable[..., str], inline: Callable[..., Summary]
) -> None:
    settings = Settings("m", "r", {"width": None}, 1, 0, "png", None)
    before = {"model": "m", "model_revision": "r", "parameters": {"width": None}, "images_per_prompt": 1, "seed": 0}
    before |= {"image_format": "png", "quality": None}
    assert settings.fingerprint() == hashlib.sha256(json.dumps(before, sort_keys=True).encode()).hexdigest()[:16]
    path = table({"prompt": ["a", "b"]})
    inline(job(path, tmp_path / "out", limit=1))
    assert b"metadata" not in (tmp_path / "out/.run/plan.json").read_bytes()
    with pytest.raises(PlanMismatch, match="metadata: planned 'none', now 'full'"):
        inline(job(path, tmp_path / "out", metadata="full"))
    inline(job(path, tmp_path / "out"))
    for data in images(tmp_path / "out").values():
        with Image.open(io.BytesIO(data)) as image:
            assert not image.info


def test_a_retry_writes_what_the_plan_says(
    tmp_path: Path, table: Callable[..., str], inline: Callable[..., Summary]
) -> None:
    mark = tmp_path / "mark"
    path = table({"prompt": [f"x FAILS-WITHOUT {mark}"], "seed": [1]})
    inline(job(path, tmp_path / "out", metadata="provenance"))
    mark.touch()
    retry_failed(str(tmp_path / "out"), source=TestSource())
    (data,) = images(tmp_path / "out").values()
    assert description(data)[f"{IPTC}DigitalSourceType"] == SOURCE_TYPE
    assert verify(str(tmp_path / "out")).ok
    assert "metadata in the pictures" in (tmp_path / "out/README.md").read_text()


def test_another_level_is_refused() -> None:
    with pytest.raises(InvalidJob, match="none, provenance, full, got 'all'"):
        job("x", "y", metadata="all")
