"""What every request passes on its way in and every answer on its way out."""

from __future__ import annotations

import asyncio
import json
import logging
import time

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import ApiError
from .service import Service

BODY_SECONDS = 30.0
logger = logging.getLogger("imagegen.online")


def error_response(error: ApiError) -> Response:
    # Not as JSONResponse does it: a message may quote half a surrogate pair, which UTF-8 does not have.
    return Response(json.dumps(error.body()), error.status, error.headers, "application/json")


async def read_body(request: Request, limit: int) -> bytes:
    """Raises:
    ApiError: 413, as soon as it is known that there are more bytes than the limit; 408 when they come too slowly.
    """
    told = request.headers.get("content-length", "0")
    found = bytearray()
    if not told.isdecimal() or int(told) <= limit:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for piece in request.stream():
                    found += piece
                    if len(found) > limit:
                        break
                else:
                    return bytes(found)
        except TimeoutError:
            raise ApiError(408, "body_timeout", f"the body did not come within {BODY_SECONDS:g} seconds") from None
    raise ApiError(413, "body_too_large", f"the body may have at most {limit:,} bytes; shorten it")


class Frontier:
    """Counts and times answers, turns what nobody expected into an answer, and says who may call across origins.

    Serve's proxy gives every answer its `x-request-id`, the client's own where it sent one.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service
        self.origins = frozenset(filter(None, (service.settings.cors_origins or "").replace(" ", "").split(",")))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        origin = Headers(scope=scope).get("origin")
        allowed = origin if origin in self.origins else None
        status = 0

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if allowed:
                    headers = MutableHeaders(scope=message)
                    headers["access-control-allow-origin"] = allowed
                    headers.add_vary_header("origin")
            await send(message)

        began = time.monotonic()
        try:
            with self.service.in_flight():
                if allowed and scope["method"] == "OPTIONS":
                    await preflight()(scope, receive, send_on)
                else:
                    await self.answer(scope, receive, send_on)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            # 499: the client left before there was an answer.
            self.service.metrics.requests.labels(route, str(status or 499)).inc()
            self.service.metrics.latency.labels(route).observe(time.monotonic() - began)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_on(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_on)
        except Exception:
            logger.exception("a request could not be answered")
            if started:
                raise
            self.service.metrics.failures.labels("internal_error").inc()
            message = "the server failed; its log says why"
            await error_response(ApiError(500, "internal_error", message))(scope, receive, send)


def preflight() -> Response:
    headers = {
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "authorization, content-type, idempotency-key",
        "access-control-max-age": "600",
    }
    return Response(status_code=204, headers=headers)
