"""More than the server can do: bounded, refused at once, and nobody pays for a neighbour."""

from __future__ import annotations

import base64
import http.client
import json
import signal
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from imagen_model.flat_colour import FlatColourGenerator
from imagen_model.generation import GenerationRequest, Success
from pipelines.encoding import Encoder
from tests.heap import has_large_pages

from .conftest import KEY, OTHER_KEY, Server
from .test_refusals import GENERATIONS, JSON, ask, queue, running, wait_for


def expected(prompt: str, seed: int, side: int = 64) -> bytes:
    (result,) = FlatColourGenerator().generate([GenerationRequest(prompt, seed, width=side, height=side)])
    assert isinstance(result, Success)
    return Encoder("png").encode(result.image)


def begin(server: Server, prompt: str, n: int = 1, **parameters: Any) -> http.client.HTTPConnection:
    """A request under way, its answer not waited for."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=300)
    body = json.dumps({"prompt": prompt, "n": n, **parameters})
    connection.request("POST", GENERATIONS, body, {**JSON, "authorization": f"Bearer {KEY}"})
    return connection


def in_flight(server: Server) -> int:
    return sum(queue(server).values())


def test_past_the_queue_429_at_once_and_who_leaves_frees_a_place(single_server: Server) -> None:
    held = single_server.folder / "queue"
    waiting = [begin(single_server, f"HOLD {held} {number}", n=4) for number in range(3)]
    # The path ends at the first blank, so that all of them wait for the same file.
    wait_for(lambda: in_flight(single_server) == 12)
    with pytest.raises(openai.RateLimitError) as full:
        single_server.client().images.generate(prompt="one more")
    assert full.value.code == "queue_full" and int(full.value.response.headers["retry-after"]) >= 1
    for path in ("/health", "/ready"):  # while every model is busy
        with urllib.request.urlopen(single_server.url + path) as answer:
            assert answer.status == 200
    waiting.pop().close()
    wait_for(lambda: in_flight(single_server) == 8)
    last = begin(single_server, "the freed place", seed=5)
    wait_for(lambda: in_flight(single_server) == 9)
    held.touch()
    assert all(connection.getresponse().status == 200 for connection in waiting)
    (item,) = json.loads(last.getresponse().read())["data"]
    assert base64.b64decode(item["b64_json"]) == expected("the freed place", 5)
    wait_for(lambda: in_flight(single_server) == 0)


def test_a_request_that_left_before_its_turn_never_reaches_the_model(single_server: Server) -> None:
    held = single_server.folder / "left"
    busy = begin(single_server, f"HOLD {held}")
    wait_for(lambda: running(single_server) == 1)
    gone = begin(single_server, "nobody waits for this")
    wait_for(lambda: queue(single_server)["queued"] == 1)
    gone.close()
    wait_for(lambda: queue(single_server)["queued"] == 0)
    held.touch()
    assert busy.getresponse().status == 200
    seen = [path.read_text() for path in single_server.folder.glob("*-*")]
    assert not any("nobody waits" in prompts for prompts in seen)


def test_a_stream_that_is_left_frees_its_place(single_server: Server) -> None:
    held = single_server.folder / "stream"
    busy = begin(single_server, f"HOLD {held}")
    wait_for(lambda: running(single_server) == 1)
    stream = begin(single_server, "a stream that nobody reads", n=3, stream=True)
    assert stream.getresponse().status == 200  # queued
    assert in_flight(single_server) == 4
    stream.close()
    wait_for(lambda: in_flight(single_server) == 1)
    held.touch()
    assert busy.getresponse().status == 200
    assert not any("nobody reads" in path.read_text() for path in single_server.folder.glob("*-*"))


def test_a_stream_that_fails_says_so_in_an_event(keyed_server: Server) -> None:
    stream = keyed_server.client().images.generate(prompt="BOOM", stream=True)
    with pytest.raises(openai.APIError, match="boom") as failed:
        list(stream)
    assert failed.value.code == "generation_failed"


def test_one_that_raises_does_not_hurt_its_neighbours(single_server: Server) -> None:
    held = single_server.folder / "neighbours"
    busy = begin(single_server, f"HOLD {held}")
    wait_for(lambda: running(single_server) == 1)
    connections = [begin(single_server, "BOOM" if number == 3 else f"good {number}", seed=1) for number in range(6)]
    wait_for(lambda: queue(single_server)["queued"] == 6)
    held.touch()
    answers = [connection.getresponse() for connection in connections]
    assert [answer.status for answer in answers] == [200, 200, 200, 500, 200, 200]
    for number, answer in enumerate(answers):
        if number != 3:
            assert base64.b64decode(json.loads(answer.read())["data"][0]["b64_json"]) == expected(f"good {number}", 1)
    assert busy.getresponse().status == 200


def test_a_killed_replica_loses_only_what_was_on_it(keyed_server: Server) -> None:
    held = keyed_server.folder / "killed"
    healthy = begin(keyed_server, f"HOLD {held}", seed=2)
    wait_for(lambda: running(keyed_server) == 1)
    poison = begin(keyed_server, "POISON")
    answer = poison.getresponse()
    assert answer.status == 503 and answer.headers["retry-after"]
    assert json.loads(answer.read())["error"]["code"] == "replica_died"
    held.touch()
    answer = healthy.getresponse()
    assert answer.status == 200
    assert base64.b64decode(json.loads(answer.read())["data"][0]["b64_json"]) == expected(f"HOLD {held}", 2)
    # The official client tries again by itself, and the other replica answers.
    assert keyed_server.client(retries=2).images.generate(prompt="after", n=2).data is not None


def test_a_replica_keeps_its_memory_in_large_pages(keyed_server: Server) -> None:
    with pytest.raises(openai.InternalServerError, match="keeps its heap: True"):
        keyed_server.client().images.generate(prompt="HEAP")
    (batch,) = (file for file in keyed_server.folder.glob("*-*") if file.read_text() == "HEAP")
    assert has_large_pages(int(batch.name.partition("-")[0]))


def test_metrics_count_what_was_done(keyed_server: Server) -> None:
    before = metrics(keyed_server)
    client = keyed_server.client()
    client.images.generate(prompt="counted", n=3)
    with pytest.raises(openai.BadRequestError):
        client.images.generate(prompt="")
    name = 'imagegen_requests_total{route="/v1/images/generations",status="200"}'
    wait_for(
        lambda: metrics(keyed_server)["imagegen_batch_images_sum"] >= before["imagegen_batch_images_sum"] + 3
    )  # replicas tell of their batches once a second
    after = metrics(keyed_server)

    def grew(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grew(name) == 1 and grew('imagegen_images_total{format="png"}') == 3
    assert grew('imagegen_failures_total{code="empty_prompt"}') == 1
    assert grew("imagegen_queue_wait_seconds_count") == 3 and grew("imagegen_model_busy_seconds_total") > 0
    assert after["imagegen_in_flight_images"] == after["imagegen_queue_images"] == 0


def metrics(server: Server) -> dict[str, float]:
    with urllib.request.urlopen(server.url + "/metrics") as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_past_the_deadline_504(keyed_server: Server) -> None:
    held = keyed_server.folder / "deadline"
    with pytest.raises(openai.InternalServerError) as late:
        keyed_server.client().images.generate(prompt=f"HOLD {held}")
    assert late.value.status_code == 504 and late.value.code == "deadline_exceeded"
    held.touch()


def test_rate_limit_and_a_stop_that_finishes_what_is_in_flight(single_server: Server) -> None:
    """The last test of that server."""
    server = single_server
    with pytest.raises(openai.RateLimitError) as limited:
        for _ in range(20):  # the first ten are within the limit
            server.client().images.generate(prompt="a", n=10)
    assert limited.value.code == "rate_limit_exceeded" and int(limited.value.response.headers["retry-after"]) > 0
    held = server.folder / "stop"
    client = server.client(OTHER_KEY)
    with ThreadPoolExecutor(1) as thread:
        last = thread.submit(client.images.generate, prompt=f"HOLD {held}", extra_body={"seed": 9})
        wait_for(lambda: running(server) == 1)
        server.process.send_signal(signal.SIGINT)
        wait_for(lambda: not ready(server))
        status, _, body = ask(server, "POST", GENERATIONS, b'{"prompt": "too late"}', JSON)
        assert (status, body["error"]["code"]) == (503, "server_stopping")
        held.touch()
        found = last.result(60)
    assert found.data is not None and found.data[0].b64_json is not None
    assert base64.b64decode(found.data[0].b64_json) == expected(f"HOLD {held}", 9)
    assert server.process.wait(120) == 0


def ready(server: Server) -> bool:
    return ask(server, "GET", "/ready")[0] == 200


def test_a_public_address_needs_keys(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from jobs.cli import app
    from pipelines.errors import InvalidJob

    for wrong, words in {
        ("--host", "0.0.0.0"): "--allow-anonymous",
        ("--api-keys", str(tmp_path / "none")): "cannot read",
        ("--max-queue", "1"): "max_queue",
    }.items():
        result = CliRunner().invoke(app, ["serve", "--model", "flat-colour", "--port", "0", *wrong])
        assert isinstance(result.exception, InvalidJob) and words in str(result.exception)
