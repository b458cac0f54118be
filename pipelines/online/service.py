"""The server apart from HTTP: who may come in, how many at once, until when, and what is kept of the answers."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import math
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from imagen_model.generation import RequestRules

from ..encoding import Encoder
from .errors import ApiError, deadline_exceeded, model_loading, queue_full, refused, stopping
from .keys import Keys
from .metrics import Metrics
from .replica import DEADLINE_EXCEEDED, QUEUE_FULL, Accepted, Event, Job, Picture, Refusal
from .schemas import Asked
from .settings import ServeSettings
from .stores import Answers, FileStore

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
# In OpenAI's form, and required there; nothing is billed by token here.
NO_USAGE: dict[str, Any] = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}


class Backend(Protocol):
    """Where pictures are made. Both raise `ApiError` when the maker dies; cancelling either frees its place."""

    async def paint(self, job: Job) -> list[Picture] | Refusal: ...
    def watch(self, job: Job) -> AsyncGenerator[Event]: ...


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The one model of this server, and every name under which it may be asked for."""

    name: str
    revision: str
    rules: RequestRules
    names: frozenset[str]
    since: int  # Unix time

    def entry(self) -> dict[str, Any]:
        """As in `GET /v1/models`; the fields from `revision` on are extensions. `size_range` is there where the model
        makes more sizes than `sizes` names."""
        sizes = self.rules.size_range
        return ({} if sizes is None else {"size_range": dataclasses.asdict(sizes)}) | {
            "id": self.name,
            "object": "model",
            "created": self.since,
            "owned_by": "imagegen",
            "revision": self.revision,
            "sizes": [f"{width}x{height}" for width, height in self.rules.sizes],
            "defaults": dict(self.rules.defaults),
            "limits": dict(self.rules.limits),
            "takes_negative_prompt": self.rules.takes_negative_prompt,
            "post_processing": list(self.rules.post_processing),
        }


class Service:
    """Belongs to one event loop."""

    def __init__(self, settings: ServeSettings, model: ServedModel, keys: Keys, backend: Backend) -> None:
        self.settings, self.model, self.keys, self.backend = settings, model, keys, backend
        self.files = FileStore(settings.url_seconds, int(settings.url_megabytes * 2**20))
        self.answers = Answers()
        self.metrics = Metrics()
        self.draining = False
        self.idle = asyncio.Event()
        self.idle.set()
        self.answering = 0
        self.seconds_a_picture = 0.1  # a running mean, for `Retry-After`

    @property
    def ready(self) -> bool:
        return not self.draining and bool(self.metrics.alive())

    async def drain(self, seconds: float) -> bool:
        """Take nothing more; whether all that was in flight is answered by then."""
        self.draining = True
        try:
            async with asyncio.timeout(seconds):
                await self.idle.wait()
        except TimeoutError:
            return False
        return True

    @contextmanager
    def place(self, pictures: int) -> Iterator[None]:
        """Held while the pictures wait or are being made.

        Raises:
            ApiError: 429 or 503, at once.
        """
        if self.draining:
            raise stopping()
        if not self.metrics.alive():
            raise model_loading()
        if self.metrics.flying + pictures > self.settings.max_queue:
            wait = self.metrics.flying * self.seconds_a_picture / 2
            raise queue_full(self.settings.max_queue, max(1, min(30, math.ceil(wait))))
        self.metrics.fly(pictures)
        began = time.monotonic()
        try:
            yield
            seconds = (time.monotonic() - began) / max(1, self.metrics.flying)
            self.seconds_a_picture += 0.1 * (seconds - self.seconds_a_picture)
        finally:
            self.metrics.fly(-pictures)

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Held from a request's arrival to the last byte of its answer; draining waits for it."""
        self.answering += 1
        self.idle.clear()
        try:
            yield
        finally:
            self.answering -= 1
            if not self.answering:
                self.idle.set()

    def job(self, asked: Asked) -> Job:
        return Job(asked.requests, asked.encoder, self.settings.deadline, asked.partial_images, asked.later)

    async def generate(self, asked: Asked, files_url: str) -> dict[str, Any]:
        """The answer's body.

        Args:
            files_url: what the URLs of pictures begin with.
        """
        with self.place(len(asked.requests)):
            try:
                async with asyncio.timeout(self.settings.deadline):
                    found = await self.backend.paint(self.job(asked))
            except TimeoutError:
                raise deadline_exceeded(self.settings.deadline) from None
        if isinstance(found, Refusal):
            raise self.error_of(found)
        for picture in found:
            self.count(picture, asked.encoder)
        data = [self.item(picture, asked, files_url) for picture in found]
        return images_body(data, asked.encoder.image_format, asked.size, int(time.time()))

    def item(self, picture: Picture, asked: Asked, files_url: str) -> dict[str, Any]:
        seed = asked.requests[picture.index].seed
        if not asked.by_url:
            return {"b64_json": base64.b64encode(picture.data).decode(), "seed": seed}
        image_format = asked.encoder.image_format
        name = self.files.put(picture.data, asked.encoder.extension, MEDIA_TYPES[image_format])
        return {"url": f"{files_url}/{name}", "seed": seed}

    async def stream(self, asked: Asked) -> AsyncGenerator[bytes]:
        """Server-sent events; b"" first, once the job is queued, so that a refusal can still have its status.

        Raises:
            ApiError: before the first event. Later ones are an event of their own, which ends the stream.
        """
        begun = False
        ends = time.monotonic() + self.settings.deadline
        with self.place(len(asked.requests)):
            try:
                async with aclosing(self.backend.watch(self.job(asked))) as events:
                    while True:
                        try:
                            event = await asyncio.wait_for(anext(events), ends - time.monotonic())
                        except StopAsyncIteration:
                            return
                        except TimeoutError:
                            raise deadline_exceeded(self.settings.deadline) from None
                        if isinstance(event, Refusal):
                            raise self.error_of(event)
                        yield b"" if isinstance(event, Accepted) else self.event(event, asked)
                        begun = True
            except ApiError as error:
                if not begun:
                    raise
                self.metrics.failures.labels(error.code).inc()
                yield server_sent("error", {"type": "error", **error.body()})

    def event(self, picture: Picture, asked: Asked) -> bytes:
        kind = "image_generation.completed" if picture.partial is None else "image_generation.partial_image"
        data: dict[str, Any] = {
            "type": kind,
            "b64_json": base64.b64encode(picture.data).decode(),
            "created_at": int(time.time()),
            "size": asked.size if picture.partial is None else asked.drawn_size,
            "quality": "auto",
            "background": "opaque",
            "output_format": asked.encoder.image_format,
            "image_index": picture.index,  # these two are extensions
            "seed": asked.requests[picture.index].seed,
        }
        if picture.partial is None:
            self.count(picture, asked.encoder)
            data["usage"] = NO_USAGE
        else:
            data["partial_image_index"] = picture.partial
        return server_sent(kind, data)

    def count(self, picture: Picture, encoder: Encoder) -> None:
        self.metrics.images.labels(encoder.image_format).inc()
        self.metrics.queue_wait.observe(picture.waited)

    def error_of(self, refusal: Refusal) -> ApiError:
        if refusal.code == QUEUE_FULL:
            return queue_full(self.settings.max_queue, 1)
        if refusal.code == DEADLINE_EXCEEDED:
            return deadline_exceeded(self.settings.deadline)
        return refused(refusal.code, refusal.message)


def images_body(data: list[dict[str, Any]], image_format: str, size: str, created: int) -> dict[str, Any]:
    """The answer to a request for pictures; `created` is Unix time."""
    return {
        "created": created,
        "background": "opaque",
        "data": data,
        "output_format": image_format,
        "size": size,
        "usage": NO_USAGE,
    }


def server_sent(name: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
