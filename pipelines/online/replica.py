"""What a replica does, apart from Serve: jobs of a few pictures in, encoded files out, one batcher between them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass

from PIL import Image

from imagen_model.generation import ErrorCode, Failure, GenerationRequest, Generator, InvalidRequest, Watcher

from ..content_credentials import ContentCredentials
from ..encoding import EncodeFailed, Encoder
from ..generating import failure_of
from ..provenance import Provenance
from .batcher import Batch, Batcher, DeadlineExceeded, Drawn, QueueFull

QUEUE_FULL = "queue_full"
DEADLINE_EXCEEDED = "deadline_exceeded"


@dataclass(frozen=True, slots=True)
class Job:
    """The pictures of one request.

    Args:
        seconds: until the deadline.
        partial_images: wanted of each picture before it is done, 0 to 3.
        later: of a batch job, which can wait.
    """

    requests: tuple[GenerationRequest, ...]
    encoder: Encoder
    seconds: float
    partial_images: int = 0
    later: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """One file, finished or (`partial` is its number, from 0) in the making.

    Args:
        index: of its request in the job.
        waited: seconds in the queue.
    """

    index: int
    data: bytes
    partial: int | None = None
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there are no pictures: an `ErrorCode`'s value, or one of those above."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job is queued: the first event of a watched one that is not refused."""


Event = Accepted | Picture | Refusal


@dataclass(frozen=True, slots=True)
class Load:
    """What a replica tells of itself now and then.

    Args:
        replica: its actor's id.
        batches: finished since it was last told.
    """

    replica: str
    queued: int
    running: int
    batches: tuple[Batch, ...]


class Painter:
    """Belongs to one event loop."""

    def __init__(
        self,
        generator: Generator,
        batch_size: int | None,
        max_queue: int,
        provenance: Provenance | None = None,
        credentials: ContentCredentials | None = None,
    ) -> None:
        """Args:
        provenance: for the label in every file; None for none.
        credentials: by which finished pictures are signed; None for no signing.
        """
        self.credentials = credentials
        self.provenance = provenance or Provenance("", "")
        self.batches: list[Batch] = []
        self.batcher = Batcher(generator, batch_size, max_queue, self.batches.append)
        # Pillow's encoders let go of the interpreter's lock, so files are written while the next batch runs.
        self.encoders = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="encode")

    def load(self, replica: str) -> Load:
        batches, self.batches[:] = tuple(self.batches), []
        return Load(replica, self.batcher.queued, self.batcher.running, batches)

    async def paint(self, job: Job) -> list[Picture] | Refusal:
        """All pictures of the job, in order, or why not. Cancelling frees what still waits."""
        pictures: list[Picture] = []
        async with aclosing(self.watch(job)) as events:
            async for event in events:
                if isinstance(event, Refusal):
                    return event
                if isinstance(event, Picture):
                    pictures.append(event)
        return sorted(pictures, key=lambda picture: picture.index)

    async def watch(self, job: Job) -> AsyncGenerator[Event]:
        """`Accepted`, then partial and finished pictures as they come; or a `Refusal`, which is the last event."""
        events: asyncio.Queue[Event] = asyncio.Queue()  # a few for each picture
        loop = asyncio.get_running_loop()
        watchers: list[Watcher | None] = [None] * len(job.requests)
        if job.partial_images:

            def tell(index: int, number: int, image: Image.Image) -> None:
                tasks.append(loop.create_task(self.tell(events, job, index, number, image)))

            def passed(index: int, number: int, image: Image.Image) -> None:
                loop.call_soon_threadsafe(tell, index, number, image)

            watchers = [watcher_of(index, job.partial_images, passed) for index in range(len(job.requests))]
        try:
            futures = self.batcher.submit(job.requests, job.seconds, watchers, job.later)
        except InvalidRequest as refusal:
            yield Refusal(refusal.code.value, refusal.message)
            return
        except QueueFull as full:
            yield Refusal(QUEUE_FULL, str(full))
            return
        tasks = [loop.create_task(self.finish(events, job, index, future)) for index, future in enumerate(futures)]
        try:
            yield Accepted()
            missing = set(range(len(futures)))
            while missing:
                event = await events.get()
                if isinstance(event, Picture) and event.index not in missing:
                    continue  # a partial picture whose file was written later than the finished one's
                if isinstance(event, Picture) and event.partial is None:
                    missing.remove(event.index)
                yield event
                if isinstance(event, Refusal):
                    return
        finally:
            for future in futures:
                future.cancel()
            for task in tasks:
                task.cancel()

    async def finish(self, events: asyncio.Queue[Event], job: Job, index: int, future: asyncio.Future[Drawn]) -> None:
        try:
            drawn = await future
        except DeadlineExceeded as late:
            events.put_nowait(Refusal(DEADLINE_EXCEEDED, str(late)))
            return
        if isinstance(drawn.result, Failure):
            events.put_nowait(Refusal(drawn.result.code.value, drawn.result.message))
            return
        try:
            data = await self.encode(job, index, drawn.result.image, self.credentials)
            events.put_nowait(Picture(index, data, waited=drawn.waited))
        except EncodeFailed as error:
            events.put_nowait(Refusal(ErrorCode.ENCODE_FAILED.value, str(error)))
        except Exception as error:
            failure = failure_of(error)
            events.put_nowait(Refusal(failure.code.value, failure.message))

    async def tell(self, events: asyncio.Queue[Event], job: Job, index: int, number: int, image: Image.Image) -> None:
        events.put_nowait(Picture(index, await self.encode(job, index, image), partial=number))

    async def encode(
        self, job: Job, index: int, image: Image.Image, credentials: ContentCredentials | None = None
    ) -> bytes:
        label = self.provenance.label(job.requests[index])

        def encoded() -> bytes:
            data = job.encoder.encode(image, label)
            return data if credentials is None else credentials.sign(data, job.encoder.image_format)

        return await asyncio.get_running_loop().run_in_executor(self.encoders, encoded)

    async def close(self) -> None:
        await self.batcher.close()
        self.encoders.shutdown()


def watcher_of(index: int, wanted: int, passed: Callable[[int, int, Image.Image], None]) -> Watcher:
    """Hands on `wanted` pictures, evenly over the drawing; the finished one is not among them."""
    marks = [(number + 1) / (wanted + 1) for number in range(wanted)]
    heard = 0

    def watch(share: float, paint: Callable[[], Image.Image]) -> None:
        nonlocal heard
        if heard < wanted and marks[heard] <= share < 1.0:
            passed(index, heard, paint())
            heard += 1

    return watch
