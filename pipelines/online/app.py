"""The HTTP side: OpenAI's routes, and those of operators, over one `Service`."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from .errors import ApiError
from .frontier import Frontier, error_response, read_body
from .page import add_page
from .schemas import ImageRequest, parse_request
from .service import Service

GENERATIONS, FILES = "/v1/images/generations", "/v1/images/files"
PRIORITY = "x-imagegen-priority"  # "batch": online requests go first
EVENTS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store", "x-accel-buffering": "no"}


def create_app(service: Service) -> FastAPI:
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

    add_images(app, service)
    add_models(app, service)
    add_operations(app, service)
    add_page(app)
    return app


def unrouted(request: Request, error: HTTPException) -> ApiError:
    """Starlette's own answers: no such route, or not with this method."""
    where = f"{request.method} {request.url.path:.200}"
    if error.status_code == 404:
        return ApiError(404, "unknown_url", f"there is nothing at {where}")
    if error.status_code == 405:
        allowed = dict(error.headers or {})
        message = f"{where} is not possible; use {allowed.get('Allow', 'another method')}"
        return ApiError(405, "method_not_allowed", message, headers=allowed)
    return ApiError(error.status_code, "invalid_request", str(error.detail))


def add_images(app: FastAPI, service: Service) -> None:
    body = {
        "requestBody": {"required": True, "content": {"application/json": {"schema": ImageRequest.model_json_schema()}}}
    }

    @app.post(GENERATIONS, openapi_extra=body)
    async def generations(request: Request) -> Response:
        owner = service.keys.owner(request.headers.get("authorization"))
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiError(415, "unsupported_media_type", f"content-type must be application/json, got {kind!r:.80}")
        content = await read_body(request, service.settings.max_body)
        later = request.headers.get(PRIORITY, "").lower() == "batch"
        asked = parse_request(content, service.model.names, service.model.rules, later)
        key = request.headers.get("idempotency-key")
        if key is not None:
            stored = service.answers.begin(owner, key, canonical(content))
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

    @app.get(FILES + "/{name}")
    async def file(name: str) -> Response:
        found = service.files.get(name)
        if found is None:
            raise ApiError(404, "file_not_found", "there is no such picture, or it is no longer kept", "name")
        headers = {"cache-control": "private, max-age=3600", "x-content-type-options": "nosniff"}
        return Response(found.data, media_type=found.media_type, headers=headers)


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
    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        service.keys.owner(request.headers.get("authorization"))
        return {"object": "list", "data": [service.model.entry()]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str, request: Request) -> dict[str, Any]:
        service.keys.owner(request.headers.get("authorization"))
        if name not in service.model.names:
            message = f"no model called {name!r:.100} is served here; there is: {service.model.name}"
            raise ApiError(404, "model_not_found", message, "model")
        return service.model.entry()

    @app.get("/v1/queue")
    async def queue(request: Request) -> dict[str, int]:
        service.keys.owner(request.headers.get("authorization"))
        return {"queued": service.metrics.queued, "running": service.metrics.running}


def add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/ready")
    async def ready() -> Response:
        return JSONResponse({"ready": service.ready}, 200 if service.ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})
