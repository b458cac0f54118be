"""What Serve's proxy says by itself, where no ingress answers (none is there yet, or it died): in OpenAI's form too.

Serve would say it in plain text, or nothing. The proxy's process calls `middlewares` by the name that
`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` holds; `imagegen serve` sets it, elsewhere Ray has to be started with it.
"""

from __future__ import annotations

import json

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import ApiError, ingress_died, model_loading, server_busy

CALLBACK = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
IMPORT_PATH = f"{__name__}:middlewares"
SERVES_OWN = "/-/"  # health and routes of the proxy, asked by Serve's own kind


def middlewares() -> list[Middleware]:
    return [Middleware(OpenAIErrors)]


class OpenAIErrors:
    """Around the proxy: what the ingress answers passes as it is, what the proxy answers is translated."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(SERVES_OWN):
            await self.app(scope, receive, send)
            return
        answer = Answer(send)
        await self.app(scope, receive, answer.pass_on)
        await answer.complete(request_id(scope))


class Answer:
    """One answer on its way to the client."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.error: ApiError | None = None  # instead of what the proxy says
        self.streamed: bool | None = None  # whether events are sent; None before the answer has begun
        self.ended = False

    async def pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = Headers(raw=message["headers"])
            self.error = translated(message["status"], headers)
            self.streamed = headers.get("content-type", "").startswith("text/event-stream")
        elif message["type"] == "http.response.body":
            self.ended = not message.get("more_body", False)
        if self.error is None:
            await self.send(message)

    async def complete(self, request: str) -> None:
        """Say what is missing: all of it, or the end of a stream whose ingress died. Other answers that were cut off
        can only be dropped, which clients notice by their length."""
        if self.error is not None or self.streamed is None:
            await self.refuse(self.error or ingress_died(), request)
        elif self.streamed and not self.ended:
            data = json.dumps({"type": "error", **ingress_died().body()})
            await self.send({"type": "http.response.body", "body": f"event: error\ndata: {data}\n\n".encode()})

    async def refuse(self, error: ApiError, request: str) -> None:
        headers = {"content-type": "application/json", "x-request-id": request, **error.headers}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": error.status, "headers": raw})
        await self.send({"type": "http.response.body", "body": json.dumps(error.body()).encode()})


def request_id(scope: Scope) -> str:
    """Which Serve has put there where the client sent none."""
    return Headers(scope=scope).get("x-request-id", "")


def translated(status: int, headers: Headers) -> ApiError | None:
    """The error that the proxy means; None for an answer of the ingress, whose errors are never plain text."""
    if status < 400 or not headers.get("content-type", "").startswith("text/plain"):
        return None
    if status == 404:  # the ingress answers for every path once it is there
        return model_loading()
    if status == 429:
        return server_busy()
    return ingress_died()
