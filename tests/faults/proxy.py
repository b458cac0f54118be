"""A proxy in front of a real S3 server that does to requests what networks and busy servers do.

Bytes pass as they are, the Host header included, so signatures stay right. Faults strike whole requests:
answered 503 SlowDown, cut in the middle of the request's body, or cut in the middle of the answer, when the
server has done what it was asked and the client does not know. `refuse` closes the door altogether.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from dataclasses import dataclass
from types import TracebackType

SLOW_DOWN = (
    b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>SlowDown</Code>"
    b"<Message>Please reduce your request rate.</Message></Error>"
)
PIECE = 64 * 1024


@dataclass
class Counts:
    """Requests that arrived, and those of them that were struck."""

    requests: int = 0
    slowed: int = 0
    cut_requests: int = 0
    cut_answers: int = 0


@dataclass
class Faults:
    """Shares of requests, 0 to 1."""

    slow: float = 0.0
    cut: float = 0.0


@dataclass
class Connection:
    """One client and its own connection to the server. `cut_answer`: the next answer is to be cut."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    cut_answer: bool = False

    def abort(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


@dataclass
class Head:
    """The first lines of a request."""

    raw: bytes
    length: int = 0
    waits: bool = False  # for "100 Continue" before it sends its body

    @classmethod
    def parse(cls, raw: bytes) -> Head:
        head = cls(raw)
        for line in raw.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                head.length = int(value)
            head.waits |= name.lower() == b"expect"
        return head


class FaultProxy:
    """Runs in a thread of its own while the context is open.

    Attributes:
        url: where clients find it.
        faults: may be changed at any time.
    """

    def __init__(self, host: str, port: int, seed: int) -> None:
        self.host, self.target = host, port
        self.random = random.Random(seed)
        self.faults, self.counts = Faults(), Counts()
        self.connections: list[Connection] = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="fault-proxy", daemon=True)
        self.port = 0
        self.server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> FaultProxy:
        self.thread.start()
        self.accept()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def accept(self) -> None:
        """Listen; after `refuse` on the same port again."""
        asyncio.run_coroutine_threadsafe(self.listen(), self.loop).result()

    def refuse(self) -> None:
        """Drop every connection and refuse new ones."""
        asyncio.run_coroutine_threadsafe(self.close(), self.loop).result()

    async def listen(self) -> None:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, limit=PIECE)
        self.port = self.server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self.server is not None:
            self.server.close()
        for connection in list(self.connections):
            connection.abort()

    async def serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            answers, server = await asyncio.open_connection(self.host, self.target)
        except OSError:
            client.transport.abort()
            return
        connection = Connection(client, server)
        self.connections.append(connection)
        back = asyncio.ensure_future(self.pass_answers(answers, connection))
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while await self.pass_request(reader, connection):
                    pass
        finally:
            connection.abort()
            await asyncio.gather(back, return_exceptions=True)
            self.connections.remove(connection)

    async def pass_request(self, reader: asyncio.StreamReader, connection: Connection) -> bool:
        """One request; False when the connection is at its end."""
        head = Head.parse(await reader.readuntil(b"\r\n\r\n"))
        self.counts.requests += 1
        struck = self.random.random()
        connection.cut_answer = False
        if struck < self.faults.slow:
            return await self.slow_down(reader, connection, head)
        if struck < self.faults.slow + self.faults.cut:
            if self.random.random() < 0.5:
                self.counts.cut_requests += 1
                if head.length:
                    connection.server.write(head.raw)
                    await self.pass_body(reader, connection, head.length // 2)
                return False
            connection.cut_answer = True
        connection.server.write(head.raw)
        await self.pass_body(reader, connection, head.length)
        return True

    async def slow_down(self, reader: asyncio.StreamReader, connection: Connection, head: Head) -> bool:
        self.counts.slowed += 1
        if not head.waits:
            await reader.readexactly(head.length)
        connection.client.write(
            b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(SLOW_DOWN), b"" if head.raw.startswith(b"HEAD") else SLOW_DOWN)
        )
        await connection.client.drain()
        connection.client.close()
        await connection.client.wait_closed()
        return False

    async def pass_body(self, reader: asyncio.StreamReader, connection: Connection, length: int) -> None:
        while length:
            piece = await reader.read(min(PIECE, length))
            if not piece:
                raise ConnectionResetError
            length -= len(piece)
            connection.server.write(piece)
            await connection.server.drain()

    async def pass_answers(self, answers: asyncio.StreamReader, connection: Connection) -> None:
        with contextlib.suppress(OSError):
            while piece := await answers.read(PIECE):
                if connection.cut_answer and not piece.startswith(b"HTTP/1.1 100"):
                    self.counts.cut_answers += 1
                    connection.client.write(piece[: len(piece) // 2])
                    await connection.client.drain()
                    break
                connection.client.write(piece)
                await connection.client.drain()
        connection.client.close()  # what is written still arrives
        connection.server.transport.abort()
