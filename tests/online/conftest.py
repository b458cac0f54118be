"""Real servers, each a process of its own, and the official client. They end with the last test that asks for them: an
idle server takes a tenth of a core."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import openai
import pytest

ROOT = Path(__file__).parents[2]
SERVERS = ("imagen_server", "keyed_server", "single_server", "wide_server")
KEY, OTHER_KEY = "test-key-0123456789abcdef", "test-key-fedcba9876543210"


@dataclass
class Server:
    process: subprocess.Popen[str]
    url: str
    folder: Path  # what an obedient model leaves behind
    interrupted: bool = False

    def client(self, key: str = KEY, retries: int = 0) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=retries, timeout=300)

    def interrupt(self) -> None:
        """As Ctrl-C, once; the end is not waited for."""
        if not self.interrupted and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.interrupted = True

    def stop(self) -> int:
        """As Ctrl-C; the exit status."""
        self.interrupt()
        return self.process.wait(120)


def start(command: list[str], folder: Path) -> Server:
    """Its standard error goes to that of the tests, and into the message where it does not come up."""
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONUNBUFFERED": "1", "XDG_DATA_HOME": str(folder)}
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None and process.stderr is not None
    said: list[str] = []
    listening = threading.Thread(target=pass_on, args=(process.stderr, said), daemon=True)
    listening.start()
    for line in process.stdout:
        said.append(line)
        if found := re.search(r"listens on (http://\S+)", line):
            return Server(process, found[1], folder)
    status = process.wait()
    listening.join(10)
    raise AssertionError(f"the server ended with {status} and said:\n{''.join(said)}")


def pass_on(lines: IO[str], said: list[str]) -> None:
    for line in lines:
        said.append(line)
        os.write(2, line.encode())


@pytest.fixture(autouse=True)
def unused_servers_end(request: pytest.FixtureRequest) -> Iterator[None]:
    """A server that no later test asks for is told to end."""
    yield
    items = request.session.items
    later = {name for item in items[items.index(request.node) + 1 :] for name in getattr(item, "fixturenames", ())}
    for name in set(SERVERS).intersection(request.fixturenames) - later:
        request.getfixturevalue(name).interrupt()


@pytest.fixture(scope="package")
def imagen_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`imagegen serve --model imagen-small` with two replicas, nobody asked for a key."""
    command = ["-c", "from jobs.cli import main; main()", "serve", "--model", "imagen-small", "--replicas", "2"]
    server = start([*command, "--port", "0", "--deadline", "600"], tmp_path_factory.mktemp("imagen"))
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="package")
def server_url(imagen_server: Server) -> str:
    return imagen_server.url


@pytest.fixture(scope="package")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"# keys of the tests\n{KEY}\n\n{OTHER_KEY}\n")
    return path


@pytest.fixture(scope="package")
def obedient(tmp_path_factory: pytest.TempPathFactory, key_file: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of a model that does what prompts say; they ask for a key."""
    servers: list[Server] = []

    def begin(**settings: object) -> Server:
        folder = tmp_path_factory.mktemp("obedient")
        given = [f"{name}={value}" for name, value in {"api_keys": key_file, **settings}.items()]
        servers.append(start(["-m", "tests.online.drive", str(folder), *given], folder))
        return servers[-1]

    yield begin
    for server in servers:
        server.interrupt()
    for server in servers:
        server.stop()


@pytest.fixture(scope="package")
def keyed_server(obedient: Callable[..., Server]) -> Server:
    """Two replicas, batches of up to 4, 12 pictures at most, 30 seconds."""
    return obedient(replicas=2, max_queue=12, deadline=30, max_body=4096)


@pytest.fixture(scope="package")
def single_server(obedient: Callable[..., Server]) -> Server:
    """As the other with one replica, so that what waits waits behind what is held, and a limit to a key's pictures."""
    return obedient(replicas=1, max_queue=12, deadline=100, rate_limit=100)


@pytest.fixture(scope="package")
def wide_server(obedient: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Two replicas, and every limit as it is where nobody sets one."""
    return obedient(replicas=2, batch_folder=tmp_path_factory.mktemp("batches"))
