"""Requests that come one by one become batches for one model, which runs in a thread of its own.

A batch takes whatever waits when the model is free: an idle model never waits for company, a busy one finds larger
batches. Clients that were answered together come back together, a few milliseconds apart; so after a batch of several
the model waits a moment for as many, at most a twentieth of the time that the batch took.

Groups (what can share a batch) take turns: next is the group whose oldest request, or whose last turn, lies furthest
back. So a long group cannot hold up a short one, and within a group order is of arrival. Requests that can wait (those
of batch jobs) only take places that are left.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from imagen_model.generation import (
    GenerationRequest,
    Generator,
    Grouping,
    Result,
    Watchable,
    Watcher,
)

from ..generating import failure_of, generate


class QueueFull(Exception):
    """No place is left; nothing was queued. `waiting` says how many requests wait."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} pictures wait already")
        self.waiting = waiting


class DeadlineExceeded(Exception):
    """The deadline passed before the model came to the request, which cost nothing."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A result, the seconds that its request waited, and the size of the batch that it was in."""

    result: Result
    waited: float
    batch: int


@dataclass(frozen=True, slots=True)
class Batch:
    """One finished run of the model, for metrics."""

    size: int
    seconds: float


LINGER = 0.05  # of the last batch's seconds
LONGEST_LINGER = 0.1  # seconds


@dataclass(eq=False, slots=True)
class Waiting:
    request: GenerationRequest
    done: asyncio.Future[Drawn]
    arrived: float
    deadline: float | None  # of time.monotonic()
    watcher: Watcher | None


class Key(NamedTuple):
    """Of a group: requests that can wait have groups of their own."""

    later: bool
    shared: Hashable


@dataclass(slots=True)
class Group:
    waiting: deque[Waiting] = field(default_factory=deque)
    served: float = 0.0  # when its last turn began

    def turn(self) -> float:
        return max(self.served, self.waiting[0].arrived)


class Batcher:
    """Belongs to one event loop; `close` it there.

    Args:
        generator: called from one thread only.
        batch_size: most requests of a batch; None for the generator's own. A group may ask for less.
        max_queue: most requests that may wait, not counting those in the model.
    """

    def __init__(
        self,
        generator: Generator,
        batch_size: int | None = None,
        max_queue: int = 256,
        on_batch: Callable[[Batch], None] | None = None,
    ) -> None:
        self.generator = generator
        self.batch_size = batch_size or generator.batch_size
        self.max_queue = max_queue
        self.on_batch = on_batch
        self.queued = 0
        self.running = 0
        self.groups: dict[Key, Group] = {}
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self.worker: asyncio.Task[None] | None = None
        self.arrived = asyncio.Event()
        self.last, self.ended = Batch(0, 0.0), 0.0  # the last batch, and when it ended

    def submit(
        self,
        requests: Sequence[GenerationRequest],
        seconds: float | None = None,
        watchers: Sequence[Watcher | None] | None = None,
        later: bool = False,
    ) -> list[asyncio.Future[Drawn]]:
        """Queue all of the requests or none; a future each. Cancelling a future takes its request out of the queue.

        Args:
            seconds: from now; a request whose turn has not come by then fails with `DeadlineExceeded`.
            watchers: one a request, called in the model's thread, where the generator can be watched.
            later: take them only where no others want the place.

        Raises:
            InvalidRequest: the model does not take one of them.
            QueueFull: there is no place for all of them.
        """
        keyed = [(Key(later, key), one) for key, one in map(self.resolve, requests)]
        if self.queued + len(keyed) > self.max_queue:
            raise QueueFull(self.queued)
        loop, now = asyncio.get_running_loop(), time.monotonic()
        deadline = None if seconds is None else now + seconds
        futures = []
        for (key, request), watcher in zip(keyed, watchers or [None] * len(keyed), strict=True):
            entry = Waiting(request, loop.create_future(), now, deadline, watcher)
            self.groups.setdefault(key, Group()).waiting.append(entry)
            self.queued += 1
            entry.done.add_done_callback(partial(self.forget, key, entry))
            futures.append(entry.done)
        self.arrived.set()
        if self.worker is None or self.worker.done():
            self.worker = loop.create_task(self.work())
        return futures

    def resolve(self, request: GenerationRequest) -> tuple[Hashable, GenerationRequest]:
        resolved = self.generator.rules.resolve(request)
        if isinstance(self.generator, Grouping):
            return self.generator.group_key(resolved), resolved
        return (resolved.width, resolved.height, resolved.num_inference_steps), resolved

    def forget(self, key: Key, entry: Waiting, _: asyncio.Future[Drawn]) -> None:
        """A request that ended while it waited (cancelled, or past its deadline) gives up its place at once."""
        group = self.groups.get(key)
        if group is not None and entry in group.waiting:
            group.waiting.remove(entry)
            self.queued -= 1
            if not group.waiting:
                del self.groups[key]

    async def work(self) -> None:
        """Until nothing waits."""
        await asyncio.sleep(0)  # what arrives in the same turn of the loop goes into the same batch
        await self.linger()
        while batch := self.take():
            self.running = len(batch)
            began = time.monotonic()
            requests = [entry.request for entry in batch]
            loop = asyncio.get_running_loop()
            try:
                results = await loop.run_in_executor(self.thread, self.run, batch, requests)
            except Exception as error:
                results = [failure_of(error)] * len(batch)
            self.running = 0
            self.ended = time.monotonic()
            self.last = Batch(len(batch), self.ended - began)
            if self.on_batch is not None:
                self.on_batch(self.last)
            for entry, result in zip(batch, results, strict=True):
                if not entry.done.done():
                    entry.done.set_result(Drawn(result, began - entry.arrived, len(batch)))
            await asyncio.sleep(0)
            if self.groups:
                await self.linger()

    async def linger(self) -> None:
        """Until as many wait as the last batch had, or for the moment that it earned."""
        if self.last.size < 2:
            return
        ends = self.ended + min(LINGER * self.last.seconds, LONGEST_LINGER)
        while (left := ends - time.monotonic()) > 0 and self.company() < self.last.size:
            self.arrived.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.arrived.wait(), left)

    def company(self) -> int:
        """How many could be in the next batch."""
        if not self.groups:
            return 0
        key = self.next_key()
        return sum(len(self.groups[one].waiting) for one in {key, Key(True, key.shared)} if one in self.groups)

    def next_key(self) -> Key:
        return min(self.groups, key=lambda key: (key.later, self.groups[key].turn()))

    def take(self) -> list[Waiting]:
        """The next batch; empty when nothing waits."""
        self.expire()
        while self.groups:
            key = self.next_key()
            size = self.batch_size
            if isinstance(self.generator, Grouping):
                size = min(size, self.generator.group_size(key.shared))
            batch = self.take_from(key, size)
            batch += self.take_from(Key(True, key.shared), size - len(batch))
            if batch:
                return batch
        return []

    def take_from(self, key: Key, size: int) -> list[Waiting]:
        """At most so many of the group's requests, oldest first."""
        group = self.groups.get(key)
        batch: list[Waiting] = []
        if group is None or not size:
            return batch
        while group.waiting and len(batch) < size:
            entry = group.waiting.popleft()
            self.queued -= 1
            if not entry.done.done():  # cancelled a moment ago
                batch.append(entry)
        group.served = time.monotonic()
        if not group.waiting:
            del self.groups[key]
        return batch

    def expire(self) -> None:
        now = time.monotonic()
        for group in list(self.groups.values()):
            for entry in [entry for entry in group.waiting if entry.deadline is not None and entry.deadline < now]:
                group.waiting.remove(entry)
                self.queued -= 1
                if not entry.done.done():
                    entry.done.set_exception(DeadlineExceeded("the deadline passed while the request waited"))
        self.groups = {key: group for key, group in self.groups.items() if group.waiting}

    def run(self, batch: Sequence[Waiting], requests: Sequence[GenerationRequest]) -> list[Result]:
        """In the model's thread. What raises is halved, so that it fails alone."""
        watchers = {id(entry.request): entry.watcher for entry in batch if entry.watcher is not None}
        if watchers and isinstance(self.generator, Watchable):
            return generate(Watched(self.generator, watchers), requests)
        return generate(self.generator, requests)

    async def close(self) -> None:
        """Refuse nothing, finish nothing: what waits is cancelled, what runs is waited for."""
        for group in list(self.groups.values()):
            for entry in list(group.waiting):
                entry.done.cancel()
        if self.worker is not None:
            await asyncio.wait([self.worker])
        self.thread.shutdown()


class Watched:
    """A generator with watchers bound to their requests, so that a halved batch keeps them."""

    def __init__(self, generator: Watchable, watchers: dict[int, Watcher]) -> None:
        self.generator, self.watchers = generator, watchers
        self.batch_size, self.rules = generator.batch_size, generator.rules

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Result]:
        told = {index: self.watchers[id(one)] for index, one in enumerate(requests) if id(one) in self.watchers}
        return self.generator.generate_watched(requests, told)
