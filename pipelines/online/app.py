"""The HTTP side: OpenAI's routes, and those of operators, over one `Service`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from imagen_model.post_processing import COLORIZE

from .batches.api import Batches, add_batches
from .edits import read_edit
from .errors import ApiError
from .frontier import Frontier, error_response, read_body
from .openapi import (
    EVENT_STREAM,
    ErrorBody,
    Health,
    Images,
    ModelEntry,
    ModelList,
    Queue,
    Ready,
    describe,
    errors,
    success,
)
from .page import add_page
from .request_schema import PARAMETERS, edit_schema, request_schema
from .schemas import Asked, parse_request
from .service import MEDIA_TYPES, Service

GENERATIONS, EDITS, FILES = "/v1/images/generations", "/v1/images/edits", "/v1/images/files"
PRIORITY = "x-imagegen-priority"  # "batch": online requests go first
EVENTS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store", "x-accel-buffering": "no"}

BINARY = {"schema": {"type": "string", "format": "binary"}}
PICTURES = dict.fromkeys(MEDIA_TYPES.values(), BINARY)
REPLAYED = {"idempotent-replayed": {"schema": {"type": "string", "enum": ["true"]}}}


def create_app(service: Service, batches: Batches | None = None) -> FastAPI:
    # No documentation pages: they load scripts from elsewhere. /openapi.json is there.
    app = FastAPI(title="imagegen", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(Frontier, service=service)

    @app.exception_handler(ApiError)
    async def refuse(_: Request, error: ApiError) -> Response:
        service.metrics.failures.labels(error.code).inc()
        return error_response(error)

    @app.exception_handler(HTTPException)
    async def refuse_unrouted(request: Request, error: HTTPException) -> Response:
        return await refuse(request, unrouted(request, error))

    @app.exception_handler(RequestValidationError)
    async def refuse_values(request: Request, error: RequestValidationError) -> Response:
        return await refuse(request, invalid_query(error))

    add_images(app, service)
    add_models(app, service)
    add_operations(app, service)
    add_page(app)
    if batches is not None:
        add_batches(app, batches)
    describe(app, bool(service.keys.digests))
    return app


def unrouted(request: Request, error: HTTPException) -> ApiError:
    """Starlette's own answers: no such route, or not with this method."""
    where = f"{request.method} {request.url.path:.200}"
    if error.status_code == 404:
        return ApiError(404, "unknown_url", f"there is nothing at {where}")
    if error.status_code == 405:
        allowed = methods_at(request)
        return ApiError(
            405, "method_not_allowed", f"{where} is not possible; use {allowed}", headers={"Allow": allowed}
        )
    return ApiError(error.status_code, "invalid_request", str(error.detail))


def methods_at(request: Request) -> str:
    """Of every route with that path; Starlette names those of the first one."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return ", ".join(sorted(found))


def invalid_query(error: RequestValidationError) -> ApiError:
    """FastAPI's own answer: a parameter of the URL."""
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return ApiError(400, "invalid_value", f"{name}: {first['msg']}, got {first.get('input')!r:.80}", name)


def add_images(app: FastAPI, service: Service) -> None:
    body = {"required": True, "content": {"application/json": {"schema": request_schema(service.model)}}}
    answers = success(Images, "The pictures; with `stream` the events of one.", content=EVENT_STREAM, headers=REPLAYED)

    @app.post(
        GENERATIONS,
        openapi_extra={"requestBody": body, "parameters": PARAMETERS},
        responses=answers | errors(400, 401, 404, 408, 409, 413, 415, 422, 429, 503, 504),
    )
    async def generations(request: Request) -> Response:
        owner = service.keys.owner(request.headers.get("authorization"))
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiError(415, "unsupported_media_type", f"content-type must be application/json, got {kind!r:.80}")
        content = await read_body(request, service.settings.max_body)
        later = request.headers.get(PRIORITY, "").lower() == "batch"
        asked = parse_request(content, service.model.names, service.model.rules, later)
        return await answer(service, request, owner, asked, canonical(content))

    if COLORIZE in service.model.rules.post_processing:
        add_edits(app, service)

    @app.get(
        FILES + "/{name}",
        response_class=Response,
        responses=success(None, "A picture.", content=PICTURES) | errors(404),
    )
    async def file(name: str) -> Response:
        found = service.files.get(name)
        if found is None:
            raise ApiError(404, "file_not_found", "there is no such picture, or it is no longer kept", "name")
        headers = {"cache-control": "private, max-age=3600", "x-content-type-options": "nosniff"}
        return Response(found.data, media_type=found.media_type, headers=headers)


def add_edits(app: FastAPI, service: Service) -> None:
    """Of a model that colorizes."""
    form = {"required": True, "content": {"multipart/form-data": {"schema": edit_schema(service.model)}}}
    reading = asyncio.Lock()  # one picture at a time in memory, however many come

    @app.post(
        EDITS,
        openapi_extra={"requestBody": form, "parameters": PARAMETERS},
        responses=success(Images, "The grey picture, in colours.", headers=REPLAYED)
        | errors(400, 401, 404, 408, 409, 413, 415, 422, 429, 503, 504),
    )
    async def edits(request: Request) -> Response:
        owner = service.keys.owner(request.headers.get("authorization"))
        later = request.headers.get(PRIORITY, "").lower() == "batch"
        asked, said = await read_edit(request, service, later, reading)
        return await answer(service, request, owner, asked, said)


async def answer(service: Service, request: Request, owner: str, asked: Asked, said: bytes) -> Response:
    """Args:
    said: what the request says, the same for requests that say the same; for its idempotency key.
    """
    key = request.headers.get("idempotency-key")
    if key is not None:
        stored = service.answers.begin(owner, key, said)
        if stored is not None:
            return Response(stored.body, media_type=stored.media_type, headers={"idempotent-replayed": "true"})
    body: bytes | None = None
    streaming = False
    try:
        service.keys.spend(owner, len(asked.requests))
        if asked.stream:
            streaming = True
            events = recorded(service, owner, key, service.stream(asked))
            await anext(events)  # queued; raises what can still be answered with a status
            return StreamingResponse(events, headers=EVENTS)
        base = service.settings.public_url or str(request.base_url)
        found = await service.generate(asked, base.rstrip("/") + FILES)
        body = json.dumps(found).encode()
        return Response(body, media_type="application/json")
    finally:
        if key is not None and not streaming:
            service.answers.end(owner, key, body)


def canonical(body: bytes) -> bytes:
    """The same for bodies that say the same, however they are spaced and ordered."""
    return json.dumps(json.loads(body), sort_keys=True).encode()


async def recorded(
    service: Service, owner: str, key: str | None, events: AsyncGenerator[bytes]
) -> AsyncGenerator[bytes]:
    """The events, kept for a replay when all of them were made and handed over."""
    parts: list[bytes] = []
    whole = False
    try:
        async for event in events:
            if key is not None:
                parts.append(event)
            yield event
        whole = bool(parts) and not parts[-1].startswith(b"event: error")
    finally:
        await events.aclose()
        if key is not None:
            service.answers.end(owner, key, b"".join(parts) if whole else None, EVENTS["content-type"])


def add_models(app: FastAPI, service: Service) -> None:
    @app.get("/v1/models", responses=success(ModelList, "The one model that is served.") | errors(401))
    async def models(request: Request) -> dict[str, Any]:
        service.keys.owner(request.headers.get("authorization"))
        return {"object": "list", "data": [service.model.entry()]}

    @app.get("/v1/models/{name:path}", responses=success(ModelEntry, "The model.") | errors(401, 404))
    async def model(name: str, request: Request) -> dict[str, Any]:
        service.keys.owner(request.headers.get("authorization"))
        if name not in service.model.names:
            message = f"no model called {name!r:.100} is served here; there is: {service.model.name}"
            raise ApiError(404, "model_not_found", message, "model")
        return service.model.entry()

    @app.get("/v1/queue", responses=success(Queue, "What waits and what is being made.") | errors(401))
    async def queue(request: Request) -> dict[str, int]:
        service.keys.owner(request.headers.get("authorization"))
        return {"queued": service.metrics.queued, "running": service.metrics.running}


def add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/health", responses=success(Health, "The process answers.") | errors())
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    not_ready = "No replica is ready, or the server is stopping; an error where nobody is there to say so."
    waiting: dict[int | str, dict[str, Any]] = {503: {"model": Ready | ErrorBody, "description": not_ready}}

    @app.get("/ready", responses=success(Ready, "Pictures can be asked for.") | errors() | waiting)
    async def ready() -> Response:
        return JSONResponse({"ready": service.ready}, 200 if service.ready else 503)

    text = {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}

    @app.get("/metrics", response_class=Response, responses=success(None, "For Prometheus.", content=text) | errors())
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})
