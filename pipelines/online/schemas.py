"""What a request for pictures may say, checked strictly: nothing unknown, nothing converted, nothing ignored."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imagen_model.generation import MAX_SEED, GenerationRequest, GreyPicture, InvalidRequest, RequestRules
from imagen_model.post_processing import finished_size

from ..encoding import Encoder
from .errors import ApiError, refused
from .settings import MAX_N


class ImageRequest(BaseModel):
    """The body of `POST /v1/images/generations`: OpenAI's parameters, and extensions below them.

    `quality`, `background`, `moderation`, `user` and `safety_identifier` are taken where they change nothing: at
    the values that name what this server does anyway. Nothing is done with the last two; they are not kept.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str = Field(description="What to draw.")
    model: str | None = Field(None, description="Name of the served model; it is the default.")
    n: int | None = Field(None, ge=1, le=MAX_N, description="How many pictures; 1 by default.")
    size: str | None = Field(None, description="WIDTHxHEIGHT in pixels, or `auto` for the model's own.")
    response_format: Literal["b64_json", "url"] | None = Field(None, description="`b64_json` by default.")
    output_format: Literal["png", "jpeg", "webp"] | None = Field(None, description="`png` by default.")
    output_compression: int | None = Field(None, ge=0, le=100, description="Quality of jpeg and webp; 90 by default.")
    stream: bool | None = Field(None, description="Answer with events: the picture while it grows, then the picture.")
    partial_images: int | None = Field(
        None, ge=0, le=3, description="How often a streamed picture is shown unfinished."
    )
    quality: Literal["auto", "standard"] | None = Field(None, description="Changes nothing.")
    background: Literal["auto", "opaque"] | None = Field(None, description="Changes nothing.")
    moderation: Literal["auto", "low"] | None = Field(None, description="Changes nothing: nothing is moderated.")
    user: str | None = Field(None, max_length=1000, description="Taken and not kept.")
    safety_identifier: str | None = Field(None, max_length=1000, description="Taken and not kept.")

    negative_prompt: str | None = Field(None, description="What guidance steers away from.")
    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="Picture i gets seed + i; drawn at random if absent.")
    num_inference_steps: int | None = Field(None, description="Steps of models that sample in steps.")
    guidance_scale: float | None = Field(None, description="Classifier-free guidance; 1 is none.")
    top_k: int | None = Field(None, description="Sample from the k likeliest values only; 0 from all.")
    top_p: float | None = Field(None, description="Sample from the likeliest values of this total share.")
    temperature: float | None = Field(None, description="0 takes the likeliest value, 1 samples as trained.")
    best_of: int | None = Field(None, description="Of so many candidates the likeliest for the prompt is kept.")
    post_processing: str | None = Field(None, description="Steps, such as `denoise, sharpen=0.8, upscale=512x512`.")


SAMPLING = (
    "negative_prompt",
    "num_inference_steps",
    "guidance_scale",
    "top_k",
    "top_p",
    "temperature",
    "best_of",
    "post_processing",
)
KNOWN_ELSEWHERE = {"style", "complexity", "frame_count", "frame_duration_ms", "svg", "mask", "image", "input_fidelity"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that can be made: one `GenerationRequest` a picture, all but the model's own token limit checked."""

    requests: tuple[GenerationRequest, ...]
    encoder: Encoder
    by_url: bool
    stream: bool
    partial_images: int
    later: bool

    @property
    def size(self) -> str:
        """Of the finished pictures, as `size` in answers says it."""
        first = self.requests[0]
        width, height = finished_size(first.post_processing, first.width or 0, first.height or 0)
        return f"{width}x{height}"

    @property
    def drawn_size(self) -> str:
        """Of pictures that are not finished yet."""
        return f"{self.requests[0].width}x{self.requests[0].height}"


def parse_request(body: bytes, models: frozenset[str], rules: RequestRules, later: bool = False) -> Asked:
    """Args:
        models: the names under which the served model may be asked for.
        later: whether it is a batch job's, which can wait.

    Raises:
        ApiError: 400 or 404, with the parameter at fault.
    """
    given = read_body_as(ImageRequest, body)
    check_model(given, models)
    return asked_for(given, make_requests(given, rules), later)


def check_model(given: ImageRequest, models: frozenset[str]) -> None:
    if given.model is not None and given.model not in models:
        known = ", ".join(sorted(models))
        message = f"no model called {given.model!r:.100} is served here; there is: {known}"
        raise ApiError(404, "model_not_found", message, "model")


def asked_for(given: ImageRequest, requests: tuple[GenerationRequest, ...], later: bool) -> Asked:
    by_url, stream = given.response_format == "url", given.stream or False
    return Asked(requests, encoder_of(given), by_url, stream, check_stream(given), later)


Body = TypeVar("Body", bound=BaseModel)


def read_body_as(kind: type[Body], body: bytes) -> Body:
    """Raises:
    ApiError: 400; it is not JSON, or not of that kind.
    """
    try:
        values = json.loads(body.decode("utf-8"), parse_constant=no_constant, parse_float=number)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else f"{error}"
        raise ApiError(400, "invalid_json", f"the body is not JSON: {reason:.200}") from None
    if not isinstance(values, dict):
        raise ApiError(400, "invalid_json", 'the body must be a JSON object such as {"prompt": "a red circle"}')
    # Before pydantic, which cannot name a parameter that holds half a surrogate pair.
    for name in values:
        if name not in kind.model_fields:
            raise unknown(name, tuple(kind.model_fields))
    try:
        return kind.model_validate(values)
    except ValidationError as problem:
        raise mistake(problem) from None


def no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def number(text: str) -> int | float:
    """In JSON, as its schemas have it, 2.0 is the whole number 2."""
    value = float(text)
    return int(value) if value.is_integer() else value


def unknown(name: str, fields: Iterable[str]) -> ApiError:
    what = "is not supported by this server" if name in KNOWN_ELSEWHERE else "is not known"
    known = ", ".join(fields)
    return ApiError(400, "unsupported_parameter", f"parameter {name!r:.100} {what}; known are: {known}", name[:100])


def mistake(problem: ValidationError) -> ApiError:
    """The first thing that is wrong."""
    error = problem.errors(include_url=False)[0]
    name = str(error["loc"][0])
    if error["type"] == "missing":
        return ApiError(400, "missing_required_parameter", f"parameter '{name}' is missing; give it", name)
    kind = "invalid_type" if error["type"].endswith("_type") else "invalid_value"
    message = error["msg"][:1].lower() + error["msg"][1:]
    return ApiError(400, kind, f"{name}: {message}, got {error['input']!r:.80}", name)


def make_requests(
    given: ImageRequest, rules: RequestRules, grey: GreyPicture | None = None
) -> tuple[GenerationRequest, ...]:
    """Picture i of a request with a seed has seed + i, as in a batch job; without one each draws its own."""
    width, height = size_of(given.size)
    parameters = {name: getattr(given, name) for name in SAMPLING} | {"grey": grey}
    requests = []
    try:
        for index in range(given.n or 1):
            first = given.seed
            seed = secrets.randbelow(MAX_SEED + 1) if first is None else (first + index) % (MAX_SEED + 1)
            request = GenerationRequest(given.prompt, seed, width=width, height=height, **parameters)
            requests.append(rules.resolve(request))
    except InvalidRequest as refusal:
        raise refused(refusal.code, refusal.message) from None
    return tuple(requests)


def size_of(text: str | None) -> tuple[int | None, int | None]:
    if text is None or text == "auto":
        return None, None
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if match is None:
        raise ApiError(
            400, "invalid_size", f"size must be like 128x128 (width x height) or auto, got {text!r:.50}", "size"
        )
    return int(match[1]), int(match[2])


def encoder_of(given: ImageRequest) -> Encoder:
    image_format = given.output_format or "png"
    if given.output_compression is not None and image_format == "png":
        message = "output_compression is for jpeg and webp; png keeps every pixel: leave it out, or give another format"
        raise ApiError(400, "invalid_value", message, "output_compression")
    # OpenAI's 0 to 100 is Pillow's quality from its lowest to its highest.
    quality = None if given.output_compression is None else max(1, given.output_compression)
    return Encoder(image_format, quality)


def check_stream(given: ImageRequest) -> int:
    """How many partial pictures are wanted."""
    if given.partial_images is not None and not given.stream:
        message = "partial_images are sent in a stream: set stream to true, or leave them out"
        raise ApiError(400, "invalid_value", message, "partial_images")
    if given.stream and given.response_format == "url":
        message = "a stream carries pictures as b64_json: leave response_format out, or set stream to false"
        raise ApiError(400, "invalid_value", message, "response_format")
    return given.partial_images or 0
