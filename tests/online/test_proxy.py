"""Answers where no ingress answers, while the server starts and when that process was killed: OpenAI's form, always.
And the end of a server that is told twice to end."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from pipelines.online.ports import free_port

from .conftest import KEY, Server
from .test_overload import begin, in_flight, ready
from .test_refusals import GENERATIONS, JSON, ask, check_form, running, wait_for
from .test_storm import processes

Answers = list[tuple[int, dict[str, str], Any]]


def knock(port: int, told: threading.Event) -> Answers:
    """Every answer that there is until told to stop; where nobody listens there is none."""
    found: Answers = []
    while not told.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("POST", GENERATIONS, b'{"prompt": "a"}', {**JSON, "authorization": f"Bearer {KEY}"})
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            found.append((answer.status, headers, json.loads(answer.read())))
        except ConnectionRefusedError:
            pass
        finally:
            connection.close()
        time.sleep(0.02)
    return found


@contextmanager
def knocking(port: int) -> Iterator[Future[Answers]]:
    """Somebody knocks meanwhile, and is told to stop however it ends; what the door said is there afterwards."""
    told = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        try:
            yield thread.submit(knock, port, told)
        finally:
            told.set()


def refusals(answers: Answers) -> set[str]:
    """Their codes; each has the form, and can be tried again."""
    codes = set()
    for status, headers, body in answers:
        if status != 200:
            codes.add(check_form(status, headers, body))
            assert status == 503 and int(headers["retry-after"]) >= 1
    return codes


@pytest.fixture(scope="module")
def started(obedient: Callable[..., Server]) -> tuple[Server, int, Answers]:
    """A server, its port, and what that answered from before the start until it was up."""
    port = free_port()
    with knocking(port) as heard:
        server = obedient(replicas=1, port=port)
    return server, port, heard.result()


def test_starting_and_after_the_death_of_the_ingress(started: tuple[Server, int, Answers]) -> None:
    server, port, heard_at_start = started
    assert refusals(heard_at_start) == {"model_loading"}

    held = server.folder / "held"
    waiting = begin(server, f"HOLD {held}")
    wait_for(lambda: in_flight(server) == 1)
    stream = begin(server, "behind it", stream=True).getresponse()
    assert stream.status == 200
    (ingress,) = [pid for pid, title in processes(server).items() if title.endswith("Ingress")]
    os.kill(ingress, signal.SIGKILL)
    answer = waiting.getresponse()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    assert refusals([(answer.status, headers, json.loads(answer.read()))]) == {"ingress_died"}
    *_, last = stream.read().strip().split(b"\n\n")
    assert last.startswith(b"event: error\n")
    assert json.loads(last.split(b"data: ")[1])["error"]["code"] == "ingress_died"
    held.touch()

    with knocking(port) as heard:
        assert server.client(retries=10).images.generate(prompt="after").data
    assert refusals(heard.result()) <= {"ingress_died", "model_loading"}
    # What operators ask the proxy itself is not for OpenAI's clients.
    assert ask(server, "GET", "/-/routes")[2] == {"/": "imagegen"}


def test_a_second_interrupt_drops_what_is_in_flight(started: tuple[Server, int, Answers]) -> None:
    """The last test of that server."""
    server, _, _ = started
    connection = begin(server, f"HOLD {server.folder / 'never'}")
    wait_for(lambda: running(server) == 1)
    server.process.send_signal(signal.SIGINT)
    wait_for(lambda: not ready(server))
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(50) == 130  # the model itself would hold for 60 seconds
    connection.close()
