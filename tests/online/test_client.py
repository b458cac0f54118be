"""The official client, unmodified, against `imagegen serve --model imagen-small`: same bytes as the model's own."""

from __future__ import annotations

import base64
import io
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from PIL import Image

from imagen_model import Imagen
from imagen_model.generation import GenerationRequest, Success
from imagen_model.imagen_generator import ImagenGenerator
from pipelines.encoding import Encoder

from .conftest import Server

PROMPT = "a red circle above a blue square"


@pytest.fixture(scope="module")
def model() -> Imagen:
    return Imagen.from_pretrained("imagen-small")


@pytest.fixture
def client(imagen_server: Server) -> openai.OpenAI:
    return imagen_server.client()


def decoded(item: Any) -> bytes:
    return base64.b64decode(item.b64_json)


def test_a_picture_is_the_models_own_byte_for_byte(client: openai.OpenAI, model: Imagen) -> None:
    answer = client.images.generate(model="imagen-small", prompt=PROMPT, size="64x64", extra_body={"seed": 7})
    expected = Encoder("png").encode(model.generate_image(PROMPT, seed=7, width=64, height=64))
    assert answer.data is not None and decoded(answer.data[0]) == expected
    assert (answer.size, answer.output_format, answer.background) == ("64x64", "png", "opaque")
    assert answer.data[0].model_extra == {"seed": 7}
    assert answer.usage is not None and answer.usage.total_tokens == 0
    assert answer._request_id


def test_four_pictures_have_the_seeds_after_the_first(client: openai.OpenAI, model: Imagen) -> None:
    answer = client.images.generate(prompt=PROMPT, n=4, extra_body={"seed": 2**32 - 2})
    assert answer.data is not None
    seeds = [item.model_extra["seed"] for item in answer.data]
    assert seeds == [2**32 - 2, 2**32 - 1, 0, 1]
    expected = model.generate_images([PROMPT] * 4, seeds=seeds)
    assert [decoded(item) for item in answer.data] == [Encoder("png").encode(image) for image in expected]


def test_without_a_seed_each_picture_says_its_own(client: openai.OpenAI, model: Imagen) -> None:
    answer = client.images.generate(prompt=PROMPT, n=2, size="16x16")
    assert answer.data is not None
    one, two = answer.data
    assert one.model_extra["seed"] != two.model_extra["seed"]
    image = model.generate_image(PROMPT, seed=two.model_extra["seed"], width=16, height=16)
    assert decoded(two) == Encoder("png").encode(image)


@pytest.mark.parametrize(("output_format", "quality"), [("jpeg", None), ("webp", 40)])
def test_other_formats_are_what_a_batch_job_writes(
    client: openai.OpenAI, model: Imagen, output_format: Any, quality: int | None
) -> None:
    options: dict[str, Any] = {} if quality is None else {"output_compression": quality}
    answer = client.images.generate(prompt=PROMPT, output_format=output_format, extra_body={"seed": 1}, **options)
    assert answer.data is not None and answer.output_format == output_format
    assert decoded(answer.data[0]) == Encoder(output_format, quality).encode(model.generate_image(PROMPT, seed=1))


def test_a_url_gives_the_same_bytes(client: openai.OpenAI, model: Imagen) -> None:
    answer = client.images.generate(prompt=PROMPT, response_format="url", output_format="webp", extra_body={"seed": 3})
    assert answer.data is not None and answer.data[0].url is not None and answer.data[0].b64_json is None
    with urllib.request.urlopen(answer.data[0].url) as found:
        assert found.headers["content-type"] == "image/webp"
        assert found.read() == Encoder("webp").encode(model.generate_image(PROMPT, seed=3))


def test_a_stream_shows_the_picture_growing(client: openai.OpenAI, model: Imagen) -> None:
    stream = client.images.generate(prompt=PROMPT, stream=True, partial_images=3, size="16x16", extra_body={"seed": 5})
    *partial, completed = list(stream)
    expected = model.generate_image(PROMPT, seed=5, width=16, height=16)
    assert [event.type for event in partial] == ["image_generation.partial_image"] * 3
    assert [event.partial_image_index for event in partial if event.type.endswith("partial_image")] == [0, 1, 2]
    for quarter, event in enumerate(partial, start=1):
        upper = (0, 0, 16, 4 * quarter)
        with Image.open(io.BytesIO(decoded(event))) as picture:
            assert picture.crop(upper).tobytes() == expected.crop(upper).tobytes()
    assert completed.type == "image_generation.completed" and completed.size == "16x16"
    assert decoded(completed) == Encoder("png").encode(expected)
    assert completed.usage.total_tokens == 0 and completed.model_extra["seed"] == 5


def test_a_grey_picture_comes_back_in_colour(client: openai.OpenAI, model: Imagen) -> None:
    """`images.edit` as the client sends it: a form, the picture in it as a file."""
    grey = model.generate_image("a red circle", seed=1, width=64, height=64).convert("L")
    file = io.BytesIO()
    grey.save(file, "PNG")
    picture = ("grey.png", file.getvalue(), "image/png")
    extra: dict[str, Any] = {"extra_headers": {"idempotency-key": "edit-1"}, "extra_body": {"seed": 2}}
    answer = client.images.edit(image=picture, prompt="a red circle", size="64x64", n=2, **extra)
    expected = [model.colorize(grey, "a red circle", seed=seed, width=64, height=64) for seed in (2, 3)]
    assert answer.data is not None
    assert [decoded(item) for item in answer.data] == [Encoder("png").encode(image) for image in expected]
    again = client.images.with_raw_response.edit(image=picture, prompt="a red circle", size="64x64", n=2, **extra)
    assert again.headers["idempotent-replayed"] == "true"
    with pytest.raises(openai.UnprocessableEntityError):  # another picture under the same key
        client.images.edit(image=("a.gif", gif(), "image/gif"), prompt="a red circle", size="64x64", n=2, **extra)
    steps = {"extra_body": {"post_processing": "colorize, upscale=20x30", "guidance_scale": 1.5, "seed": 0}}
    finished = client.images.edit(image=[gif()], prompt="a red circle", size="16x16", **steps)
    assert finished.data is not None and finished.size == "20x30"
    for wrong, code, param in (
        ({"image": b"no picture"}, "invalid_image", "image"),
        ({"image": gif(), "mask": gif()}, "invalid_form", None),
        ({"image": gif(), "stream": True}, "invalid_value", "stream"),
        ({"image": gif(), "n": 0}, "invalid_value", "n"),
        ({"image": gif(), "size": "17x17"}, "invalid_size", "size"),
        ({"image": gif(), "input_fidelity": "low"}, "unsupported_parameter", "input_fidelity"),
        ({"image": gif(), "extra_body": {"post_processing": "denoise"}}, "invalid_parameter", "post_processing"),
    ):
        with pytest.raises(openai.BadRequestError) as refusal:
            client.images.edit(prompt="a red circle", **wrong)  # type: ignore[call-overload]
        assert (refusal.value.code, refusal.value.param) == (code, param), wrong
    with pytest.raises(openai.BadRequestError, match="colorize needs a grey picture"):
        client.images.generate(prompt="a", extra_body={"post_processing": "colorize"})
    large = b"\0" * (20 * 2**20 + 1)
    with pytest.raises(openai.APIStatusError) as too_large:
        client.images.edit(prompt="a red circle", image=large)
    assert too_large.value.status_code == 413 and too_large.value.code == "image_too_large"


def gif() -> bytes:
    file = io.BytesIO()
    Image.new("L", (20, 20), 90).save(file, "GIF")
    return file.getvalue()


def test_models(client: openai.OpenAI) -> None:
    (only,) = client.models.list()
    assert (only.id, only.object) == ("imagen-small", "model")
    assert only.model_extra["sizes"][0] == "256x256"
    assert client.models.retrieve("imagen-small").id == only.id
    with pytest.raises(openai.NotFoundError) as refusal:
        client.models.retrieve("dall-e-3")
    assert refusal.value.code == "model_not_found"


def test_a_prompt_that_only_the_model_knows_to_be_too_long(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        client.images.generate(prompt="red " * 600)
    assert refusal.value.code == "prompt_too_long" and refusal.value.param == "prompt"
    with pytest.raises(openai.BadRequestError) as refusal:  # also before a stream begins
        client.images.generate(prompt="red " * 600, stream=True)
    assert refusal.value.code == "prompt_too_long"


def test_the_same_bytes_under_load(client: openai.OpenAI, model: Imagen) -> None:
    """Nine at once that differ in everything, their batches mixed by chance, and the bare generator."""
    asked = [
        {"prompt": prompt, "seed": seed, "guidance_scale": guidance, "size": side}
        for seed, (prompt, guidance, side) in enumerate(
            [(PROMPT, 1.5, 16), ("three yellow hearts", 1.0, 32), (PROMPT + " and green stars" * 12, 3.0, 16)] * 3
        )
    ]

    def ask(one: dict[str, Any]) -> bytes:
        extra = {"seed": one["seed"], "guidance_scale": one["guidance_scale"]}
        answer = client.images.generate(prompt=one["prompt"], size=f"{one['size']}x{one['size']}", extra_body=extra)
        assert answer.data is not None
        return decoded(answer.data[0])

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(ask, asked))
    requests = [
        GenerationRequest(
            one["prompt"], one["seed"], width=one["size"], height=one["size"], guidance_scale=one["guidance_scale"]
        )
        for one in asked
    ]
    for data, result in zip(found, ImagenGenerator(model).generate(requests), strict=True):
        assert isinstance(result, Success) and data == Encoder("png").encode(result.image)
