"""What `/openapi.json` says of answers: `@app.get(..., responses=errors(401, 404))`, and the shapes of successes.

Nothing is serialised by these models; tests hold the answers against them.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field

REASONS = {
    400: "The request says something that this server does not take; `param` names it.",
    401: "There is no valid API key in `Authorization: Bearer KEY`.",
    404: "There is no such thing here, or it is no longer kept.",
    408: "The body came too slowly.",
    409: "Something else is under way that has to end first; try again in a moment.",
    413: "The body has more bytes than this server takes.",
    415: "The body's content type is none that is read here.",
    422: "This idempotency key was used with another body.",
    429: "As many wait as this server takes, or the key's rate is used up; `Retry-After` says when to try again.",
    500: "The server, or the model, failed.",
    503: "The model is being loaded, a process died, or the server is stopping; try again after `Retry-After`.",
    504: "No answer within the deadline; try again when less waits.",
}
ANYWHERE = {429, 500, 503}  # of any route: more at once than the server takes, its failure, nobody there to answer
REQUEST_ID = {
    "description": "The request's own `x-request-id`, or one that was made for it.",
    "required": True,
    "schema": {"type": "string"},
}
SECONDS = {"description": "Seconds after which to try again.", "schema": {"type": "string", "pattern": "^[0-9]+$"}}
SHOULD_RETRY = {"description": "Told to OpenAI's client.", "schema": {"type": "string", "enum": ["false"]}}
HEADERS: dict[int, dict[str, Any]] = {
    401: {"www-authenticate": {"required": True, "schema": {"type": "string", "enum": ["Bearer"]}}},
    409: {"retry-after": SECONDS},
    429: {"retry-after": SECONDS},
    500: {"x-should-retry": SHOULD_RETRY},
    503: {"retry-after": SECONDS},
    504: {"retry-after": SECONDS},
}


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorDetail(Shape):
    message: str
    type: Literal["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"]
    param: str | None
    code: str


class ErrorBody(Shape):
    """OpenAI's form, of every error."""

    error: ErrorDetail


class TokenDetails(Shape):
    image_tokens: int
    text_tokens: int


class Usage(Shape):
    """Zero: nothing is counted by token here."""

    input_tokens: int
    input_tokens_details: TokenDetails
    output_tokens: int
    total_tokens: int


class ImageData(Shape):
    """One picture; `b64_json` or `url`."""

    b64_json: str | None = None
    url: str | None = None
    seed: int


class Images(Shape):
    created: int
    background: Literal["opaque"]
    data: list[ImageData] = Field(min_length=1)
    output_format: Literal["png", "jpeg", "webp"]
    size: str
    usage: Usage


class ImageEvent(Shape):
    """Of a stream."""

    type: Literal["image_generation.partial_image", "image_generation.completed"]
    b64_json: str
    created_at: int
    size: str
    quality: Literal["auto"]
    background: Literal["opaque"]
    output_format: Literal["png", "jpeg", "webp"]
    image_index: int
    seed: int
    partial_image_index: int | None = None
    usage: Usage | None = None


class ErrorEvent(Shape):
    """The last event of a stream that fails."""

    type: Literal["error"]
    error: ErrorDetail


class SizeRange(Shape):
    """Width and height may be any multiples of `multiple_of` from `least` to `most` pixels."""

    multiple_of: int
    least: int
    most: int


class ModelEntry(Shape):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    revision: str
    sizes: list[str]
    defaults: dict[str, float]
    limits: dict[str, float]
    takes_negative_prompt: bool
    post_processing: list[str]
    size_range: SizeRange | None = None


class ModelList(Shape):
    object: Literal["list"]
    data: list[ModelEntry]


class Queue(Shape):
    """Pictures."""

    queued: int = Field(ge=0)
    running: int = Field(ge=0)


class Health(Shape):
    status: Literal["alive"]


class Ready(Shape):
    ready: bool


REFERENCE = "#/components/schemas/{model}"
EVENT_SHAPES: tuple[type[BaseModel], ...] = (ImageEvent, ErrorEvent)
# Described event by event, as FastAPI does it and OpenAPI 3.2 has it.
EVENT_STREAM = {
    "text/event-stream": {
        "itemSchema": {
            "type": "object",
            "properties": {
                "event": {"enum": ["image_generation.partial_image", "image_generation.completed", "error"]},
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": {
                        "oneOf": [{"$ref": REFERENCE.format(model=shape.__name__)} for shape in EVENT_SHAPES]
                    },
                },
            },
            "required": ["event", "data"],
        }
    }
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for FastAPI's `responses`; those `ANYWHERE` are among them without being named.

    Raises:
        KeyError: no error of this server has that status.
    """
    found: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, *ANYWHERE}):
        found[status] = {"model": ErrorBody, "description": REASONS[status], "headers": dict(HEADERS.get(status, {}))}
    return found


def success(shape: type[BaseModel] | None, description: str, **content: Any) -> dict[int | str, dict[str, Any]]:
    """The answer 200: JSON of that shape, and what else it can be by media type (`{"image/png": {...}}`)."""
    answer: dict[str, Any] = {"description": description}
    return {200: answer | ({"model": shape} if shape else {}) | content}


def describe(app: FastAPI, closed: bool) -> None:
    """Make `/openapi.json` whole, once all routes are there.

    Args:
        closed: whether an API key is asked for, by every operation that can answer 401.
    """

    def whole() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, routes=app.routes)
            found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            for path in found["paths"].values():
                for operation in path.values():
                    complete(operation, closed)
                    lift_definitions(operation, found["components"]["schemas"])
            for shape in EVENT_SHAPES:
                schema = shape.model_json_schema(ref_template=REFERENCE)
                found["components"]["schemas"] |= schema.pop("$defs") | {shape.__name__: schema}
            # FastAPI's own form of a refusal, which no route has.
            for name in ("HTTPValidationError", "ValidationError"):
                found["components"]["schemas"].pop(name, None)
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = whole  # type: ignore[method-assign]


def lift_definitions(operation: dict[str, Any], shared: dict[str, Any]) -> None:
    """Pydantic's `$defs`, which a schema inside a description cannot refer to."""
    for media in operation.get("requestBody", {}).get("content", {}).values():
        schema = json.loads(json.dumps(media["schema"]).replace('"#/$defs/', '"#/components/schemas/'))
        shared |= schema.pop("$defs", {})
        media["schema"] = schema


def complete(operation: dict[str, Any], closed: bool) -> None:
    answers = operation["responses"]
    if "HTTPValidationError" in str(answers.get("422")):
        del answers["422"]
    if "401" in answers:
        operation["security"] = [{"key": []}] if closed else [{"key": []}, {}]
    for answer in answers.values():
        answer["headers"] = {"x-request-id": REQUEST_ID, **answer.get("headers", {})}
