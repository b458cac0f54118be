"""Starts a process for each batch that is not finished, again after a crash, and some at once.

It lives in the ingress process: when that dies its batch processes end with it, and the next one finds in the folder
what is left to do. A lease keeps two servers from running one folder's batches.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from ...credential_files import CredentialFiles
from ...errors import PipelineError
from ...lease import Lease
from ..errors import ApiError
from .schemas import BatchError, BatchErrors, StoredBatch
from .store import BatchStore
from .work import TRY_AGAIN, Order

AT_ONCE = 2  # batches; each has requests enough under way to keep replicas busy
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before a batch is tried again
PATIENCE = 10.0  # seconds that a request waits for the folder to be opened
MOST_CRASHES = 3  # in a row, for no known reason
SWEEP_EVERY, LOOK_EVERY, RETRY_EVERY = 3600.0, 10.0, 5.0  # seconds
logger = logging.getLogger("imagegen.online")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a batch process needs to know of its server; fields as in `Order`.

    Args:
        environment: of the process, an API key for this server among it.
        keep_seconds: how long a finished batch is kept.
        credential_files: by which pictures are signed.
    """

    url: str
    names: tuple[str, ...]
    ray_address: str
    most: int
    metadata: str
    environment: Mapping[str, str]
    keep_seconds: float
    credential_files: CredentialFiles | None = None


class BatchRunner:
    """Belongs to one event loop."""

    def __init__(self, store: BatchStore, surroundings: Surroundings) -> None:
        self.store, self.surroundings = store, surroundings
        self.waiting: deque[str] = deque()
        self.running: dict[str, Process | None] = {}
        self.more = asyncio.Event()
        self.unavailable: str | None = "the batches are being looked through; try again in a moment"
        self.looked = asyncio.Event()  # whether they can be taken is known
        self.lease: Lease | None = None
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Once; further calls do nothing."""
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self.run())

    async def check_available(self) -> None:
        """Raises:
        ApiError: 503; at the start of the server after a moment of waiting.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self.looked.wait(), PATIENCE)
        if self.unavailable is not None:
            raise ApiError(503, "batches_unavailable", self.unavailable, retry_after=5)

    def submit(self, batch: str) -> None:
        self.waiting.append(batch)
        self.more.set()

    def cancel(self, batch: str) -> None:
        """After the wish is stored. One that waits sees it when its turn comes; that turn is now."""
        if batch in self.waiting:
            self.waiting.remove(batch)
            self.waiting.appendleft(batch)
            self.more.set()
        process = self.running.get(batch)
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """Batch processes end at once; what they had begun is begun again by the next server."""
        self.unavailable = "this server is stopping; try again later"
        for process in self.running.values():
            if process is not None and process.returncode is None:
                process.kill()
        if self.task is not None:
            self.task.cancel()
        if self.lease is not None:
            self.lease.__exit__(None, None, None)
            self.lease = None

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await asyncio.to_thread(self.open)
                self.unavailable = None
                self.looked.set()
                await self.work()
            except PipelineError as error:
                self.unavailable = f"batches cannot be taken: {error}"
            except Exception as error:  # a record that is none of ours, say
                logger.exception("the batches' folder cannot be opened")
                self.unavailable = f"batches cannot be taken: {type(error).__name__}: {error}"
            self.looked.set()
            await asyncio.sleep(RETRY_EVERY)

    async def work(self) -> None:
        """Until another server takes the folder over."""
        assert self.lease is not None
        swept = time.monotonic()
        workers: set[asyncio.Task[None]] = set()
        try:
            while not self.lease.lost:
                self.more.clear()
                while self.waiting and len(self.running) < AT_ONCE:
                    batch = self.waiting.popleft()
                    self.running[batch] = None
                    task = asyncio.get_running_loop().create_task(self.work_off(batch))
                    workers.add(task)
                    task.add_done_callback(workers.discard)
                if time.monotonic() - swept > SWEEP_EVERY:
                    swept = time.monotonic()
                    await asyncio.to_thread(self.store.sweep_expired, self.surroundings.keep_seconds)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.more.wait(), LOOK_EVERY)
            self.unavailable = "another server has taken over the batches' folder; ask that one"
        finally:
            for task in workers:
                task.cancel()
            self.waiting.clear()

    def open(self) -> None:
        """Take the folder, and find what is left to do."""
        lease = Lease(self.store.store)
        lease.__enter__()
        self.lease = lease
        self.store.store.sweep()
        self.store.sweep_orphans()
        self.store.sweep_expired(self.surroundings.keep_seconds)
        self.waiting.clear()
        self.waiting.extend(stored.batch.id for stored in self.store.stored_batches() if not stored.batch.finished)

    async def work_off(self, batch: str) -> None:
        pause, crashes = FIRST_PAUSE, 0
        try:
            while True:
                began = time.monotonic()
                status = await self.run_process(batch)
                if status == 0:
                    return
                crashes = 0 if status == TRY_AGAIN else crashes + 1
                if crashes >= MOST_CRASHES:
                    await asyncio.to_thread(self.give_up, batch, status)
                    return
                # One that ran for long has got somewhere.
                pause = FIRST_PAUSE if time.monotonic() - began > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
                await asyncio.sleep(pause)
        finally:
            del self.running[batch]
            self.more.set()

    async def run_process(self, batch: str) -> int:
        """The exit status."""
        about = self.surroundings
        files = about.credential_files
        order = Order(
            self.store.store.url,
            batch,
            about.url,
            about.names,
            about.ray_address,
            about.most,
            about.metadata,
            None if files is None else files.certificate,
            None if files is None else files.key,
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pipelines.online.batches.work",
            stdin=PIPE,
            stdout=DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **about.environment},
        )
        self.running[batch] = process
        assert process.stdin is not None
        try:
            process.stdin.write(order.to_json())
            await process.stdin.drain()
            return await process.wait()
        except (BrokenPipeError, ConnectionResetError, ProcessLookupError):
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()

    def give_up(self, batch: str, status: int) -> None:
        stored = self.store.stored_batch(batch)
        if stored is None:
            return
        message = f"the batch's process ended {MOST_CRASHES} times with status {status}; the server's log says more"
        errors = BatchErrors(data=[BatchError(code="internal_error", message=message)])
        failed = stored.batch.model_copy(update={"errors": errors}).moved("failed", int(time.time()))
        self.store.put_batch(StoredBatch(**{**stored.model_dump(), "batch": failed}))
