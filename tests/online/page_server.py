"""The server's HTTP side over the real model in this process: all of it but Serve's processes.

The page's tests need many short conversations and a server with keys beside one without; a Ray for each would
cost minutes and show nothing more about the page.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn

from pipelines.online.app import create_app
from pipelines.online.keys import Keys, read_keys
from pipelines.online.replica import Painter
from pipelines.online.service import ServedModel, Service
from pipelines.online.settings import ServeSettings
from pipelines.weights import find_source


@asynccontextmanager
async def served(settings: ServeSettings):
    source = find_source(settings.model)
    model = ServedModel(source.name, source.revision, source.rules, frozenset({source.name}), int(time.time()))
    painter = Painter(source.load(settings.batch_size, settings.device), settings.batch_size, settings.max_queue)
    service = Service(settings, model, Keys(read_keys(settings.api_keys), settings.rate_limit), painter)

    async def tell() -> None:
        while True:
            service.metrics.hear(painter.load("here"))
            await asyncio.sleep(0.1)

    telling = asyncio.create_task(tell())
    try:
        yield create_app(service)
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        await painter.close()


@contextmanager
def page_server(settings: ServeSettings) -> Iterator[str]:
    """The base URL; on a free port of the loopback."""
    addresses: list[str] = []
    up, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with served(settings) as app:
            server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
            running = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.05)
            addresses.append(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
            up.set()
            await asyncio.to_thread(stop.wait)
            server.should_exit = server.force_exit = True
            await running

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            up.set()

    thread = threading.Thread(target=run, name="page-server")
    thread.start()
    up.wait()
    try:
        assert addresses, "the server did not start"
        yield addresses[0]
    finally:
        stop.set()
        thread.join()
