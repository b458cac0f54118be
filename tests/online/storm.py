"""Five hundred requests at once, more or less: good ones of three sizes, malformed ones, and some that leave."""

from __future__ import annotations

import base64
import http.client
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .conftest import KEY, Server
from .test_refusals import GENERATIONS, JSON, check_form

REQUESTS, AT_ONCE = 500, 64
STREAMED = 5  # every so many-th request
FILLING = "x" * 9000  # of a prompt, so that requests that stay behind are seen in the memory


@dataclass(frozen=True)
class Malformed:
    status: int
    code: str
    param: str | None = None
    body: bytes = b'{"prompt": "a"}'
    method: str = "POST"
    path: str = GENERATIONS
    headers: dict[str, str] = field(default_factory=dict)


MALFORMED = (
    Malformed(400, "invalid_json", body=b'{"prompt": "a'),
    Malformed(400, "missing_required_parameter", "prompt", b'{"n": 2}'),
    Malformed(400, "empty_prompt", "prompt", b'{"prompt": " "}'),
    Malformed(400, "invalid_size", "size", b'{"prompt": "a", "size": "100x100"}'),
    Malformed(400, "invalid_type", "n", b'{"prompt": "a", "n": "2"}'),
    Malformed(400, "unsupported_parameter", "sampler", b'{"prompt": "a", "sampler": "euler"}'),
    Malformed(404, "model_not_found", "model", b'{"prompt": "a", "model": "dall-e-3"}'),
    Malformed(405, "method_not_allowed", method="PUT"),
    Malformed(413, "body_too_large", body=b'{"prompt": "' + b"a" * 2**20 + b'"}'),
    Malformed(415, "unsupported_media_type", headers={"content-type": "text/plain"}),
)


@dataclass(frozen=True)
class Good:
    prompt: str
    seed: int
    size: str
    stream: bool
    leaves: float | None  # seconds after which nobody waits any more


@dataclass(frozen=True)
class Outcome:
    """`kind` is right, refused, left, or lost (a retryable 503)."""

    kind: str
    asked: Good | Malformed
    began: float  # Unix time


def plan(name: str, sizes: Sequence[str], patience: float) -> list[Good | Malformed]:
    """Of every ten requests two are malformed and one leaves within `patience` seconds."""
    dice = random.Random(name)
    found: list[Good | Malformed] = []
    for number in range(REQUESTS):
        if number % 10 in (3, 7):
            found.append(MALFORMED[number // 5 % len(MALFORMED)])
            continue
        leaves = dice.uniform(0, patience) if number % 10 == 5 else None
        found.append(Good(f"NAP {name} {number} {FILLING}", number, sizes[number % 3], number % STREAMED == 0, leaves))
    dice.shuffle(found)
    return found


def storm(server: Server, planned: Sequence[Good | Malformed], right: Callable[[Good], bytes]) -> list[Outcome]:
    """One outcome a request.

    Args:
        right: the picture that a good request is to get.
    """
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda asked: one(server, asked, right), planned))


def one(server: Server, asked: Good | Malformed, right: Callable[[Good], bytes]) -> Outcome:
    began = time.time()
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=300)
    try:
        if isinstance(asked, Malformed):
            status, _, content = exchange(connection, asked.method, asked.path, asked.body, asked.headers)
            error = json.loads(content)["error"]
            assert (status, error["code"], error["param"]) == (asked.status, asked.code, asked.param), asked
            return Outcome("refused", asked, began)
        body = {"prompt": asked.prompt, "seed": asked.seed, "size": asked.size, "stream": asked.stream}
        send(connection, "POST", GENERATIONS, json.dumps(body).encode(), {})
        if asked.leaves is not None:
            time.sleep(asked.leaves)
            return Outcome("left", asked, began)
        status, headers, content = read(connection)
        if status == 503:
            assert check_form(status, headers, json.loads(content)) == "replica_died" and headers["retry-after"]
            return Outcome("lost", asked, began)
        assert status == 200, content
        event = json.loads(content.split(b"data: ")[-1]) if asked.stream else json.loads(content)["data"][0]
        if "error" in event:  # the replica died after the stream had begun
            assert event["error"]["code"] == "replica_died"
            return Outcome("lost", asked, began)
        assert event["seed"] == asked.seed and base64.b64decode(event["b64_json"]) == right(asked), asked
        return Outcome("right", asked, began)
    finally:
        connection.close()


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    send(connection, method, path, body, headers)
    return read(connection)


def send(connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
    connection.request(method, path, body, {**JSON, "authorization": f"Bearer {KEY}", **headers})


def read(connection: http.client.HTTPConnection) -> tuple[int, dict[str, str], bytes]:
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def kinds(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return dict(Counter(outcome.kind for outcome in outcomes))
