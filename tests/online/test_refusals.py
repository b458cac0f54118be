"""Every way to be refused, each in OpenAI's form and as the class that its client has for it."""

from __future__ import annotations

import http.client
import json
import time
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from .conftest import KEY, OTHER_KEY, Server

GENERATIONS = "/v1/images/generations"
JSON = {"content-type": "application/json"}


def ask(
    server: Server, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON, with nothing in between that would tidy the request up."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=300)
    connection.request(method, path, body, {"authorization": f"Bearer {KEY}", **(headers or {})})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    found = {name.lower(): value for name, value in answer.getheaders()}
    return answer.status, found, json.loads(content) if content else None


def check_form(status: int, headers: dict[str, str], body: Any) -> str:
    """The error's code; everything that an error in OpenAI's form has is there."""
    assert headers["content-type"] == "application/json" and headers["x-request-id"]
    assert set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"] and body["error"]["type"] in {
        "invalid_request_error",
        "authentication_error",
        "rate_limit_error",
        "server_error",
    }
    return str(body["error"]["code"])


BODIES = {
    b"": (400, "invalid_json"),
    b"{": (400, "invalid_json"),
    b"\xff\xfe": (400, "invalid_json"),
    b"[" * 4000: (400, "invalid_json"),
    b"[1]": (400, "invalid_json"),
    b'"a red circle"': (400, "invalid_json"),
    b'{"prompt": "a", "guidance_scale": NaN}': (400, "invalid_json"),
    b'{"prompt": "a", "guidance_scale": 1e999}': (400, "invalid_parameter"),
    b'{"prompt": "a", "seed": ' + b"9" * 3000 + b"}": (400, "invalid_value"),
    b"{}": (400, "missing_required_parameter"),
    b'{"prompt": null}': (400, "invalid_type"),
    b'{"prompt": 3}': (400, "invalid_type"),
    b'{"prompt": ["a", "b"]}': (400, "invalid_type"),
    b'{"prompt": " "}': (400, "empty_prompt"),
    b'{"prompt": "a\\u0000b"}': (400, "invalid_row"),
    b'{"prompt": "\\ud800"}': (400, "invalid_row"),
    b'{"prompt": "a", "\\ud800": 1}': (400, "unsupported_parameter"),
    b'{"prompt": "a", "sampler": "euler"}': (400, "unsupported_parameter"),
    b'{"prompt": "a", "style": "vivid"}': (400, "unsupported_parameter"),
    b'{"prompt": "a", "background": "transparent"}': (400, "invalid_value"),
    b'{"prompt": "a", "quality": "high"}': (400, "invalid_value"),
    b'{"prompt": "a", "n": 0}': (400, "invalid_value"),
    b'{"prompt": "a", "n": 11}': (400, "invalid_value"),
    b'{"prompt": "a", "n": true}': (400, "invalid_type"),
    b'{"prompt": "a", "n": "2"}': (400, "invalid_type"),
    b'{"prompt": "a", "n": 2.5}': (400, "invalid_type"),
    b'{"prompt": "a", "seed": -1}': (400, "invalid_value"),
    b'{"prompt": "a", "size": "big"}': (400, "invalid_size"),
    b'{"prompt": "a", "size": "100x100"}': (400, "invalid_size"),
    b'{"prompt": "a", "size": "0x0"}': (400, "invalid_size"),
    b'{"prompt": "a", "output_format": "gif"}': (400, "invalid_value"),
    b'{"prompt": "a", "output_compression": 50}': (400, "invalid_value"),
    b'{"prompt": "a", "partial_images": 2}': (400, "invalid_value"),
    b'{"prompt": "a", "stream": true, "partial_images": 4}': (400, "invalid_value"),
    b'{"prompt": "a", "stream": true, "response_format": "url"}': (400, "invalid_value"),
    b'{"prompt": "a", "temperature": 1.0}': (400, "invalid_parameter"),
    b'{"prompt": "a", "guidance_scale": 101}': (400, "invalid_parameter"),
    b'{"prompt": "a", "best_of": 2}': (400, "invalid_parameter"),
    b'{"prompt": "a", "post_processing": "blur"}': (400, "invalid_parameter"),
    b'{"prompt": "a", "post_processing": ["denoise"]}': (400, "invalid_type"),
    b'{"prompt": "a", "post_processing": "upscale=9000x9000"}': (400, "invalid_parameter"),
    b'{"prompt": "a", "model": "dall-e-3"}': (404, "model_not_found"),
    b'{"prompt": "' + b"a" * 4096 + b'"}': (413, "body_too_large"),
}


def test_malformed_requests(keyed_server: Server) -> None:
    for body, (status, code) in BODIES.items():
        found = ask(keyed_server, "POST", GENERATIONS, body, JSON)
        assert (found[0], check_form(*found)) == (status, code), body[:80]
        assert found[1].get("retry-after") is None


def test_other_routes_methods_and_types(keyed_server: Server) -> None:
    good = b'{"prompt": "a"}'
    for method, path, headers, status, code in [
        ("GET", "/v2/images", {}, 404, "unknown_url"),
        ("POST", GENERATIONS + "/", JSON, 404, "unknown_url"),
        ("GET", GENERATIONS, {}, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", {}, 405, "method_not_allowed"),
        ("POST", GENERATIONS, {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ("POST", GENERATIONS, {"content-type": "multipart/form-data; boundary=x"}, 415, "unsupported_media_type"),
        ("POST", GENERATIONS, {**JSON, "idempotency-key": "k" * 256}, 400, "invalid_idempotency_key"),
        ("GET", "/v1/images/files/nothing.png", {}, 404, "file_not_found"),
        ("GET", "/v1/images/files/..%2f..%2fetc%2fpasswd", {}, 404, "unknown_url"),
        ("GET", "/page/..%2fapp.py", {}, 404, "unknown_url"),
    ]:
        found = ask(keyed_server, method, path, good if method == "POST" else None, headers)
        assert (found[0], check_form(*found)) == (status, code), (method, path, headers)
    assert ask(keyed_server, "GET", GENERATIONS)[1]["allow"] == "POST"


def test_without_a_valid_key_nothing_but_health_is_answered(keyed_server: Server) -> None:
    with pytest.raises(openai.AuthenticationError) as refusal:
        keyed_server.client("test-key-0123456789abcdeg").models.list()
    assert refusal.value.code == "invalid_api_key" and refusal.value.status_code == 401
    for authorization in ("", "Bearer", f"Basic {KEY}", KEY, "Bearer \xe9"):
        found = ask(keyed_server, "POST", GENERATIONS, b"{}", {**JSON, "authorization": authorization})
        assert (found[0], check_form(*found)) == (401, "invalid_api_key")
    for path in ("/health", "/ready", "/metrics"):
        with urllib.request.urlopen(keyed_server.url + path) as answer:
            assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(keyed_server.url + "/v1/queue")


def test_each_error_has_the_clients_class(keyed_server: Server) -> None:
    client = keyed_server.client()
    with pytest.raises(openai.BadRequestError) as bad:
        client.images.generate(prompt="a", size="100x100")  # type: ignore[call-overload]
    assert (bad.value.code, bad.value.param) == ("invalid_size", "size")
    assert "64x64" in bad.value.message
    with pytest.raises(openai.NotFoundError) as missing:
        client.images.generate(prompt="a", model="dall-e-3")
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.InternalServerError) as failed:
        client.images.generate(prompt="BOOM")
    assert failed.value.code == "generation_failed" and "boom" in failed.value.message
    assert failed.value.response.headers["x-should-retry"] == "false"


def test_an_idempotency_key_replays_the_answer(keyed_server: Server) -> None:
    client = keyed_server.client()
    held = keyed_server.folder / "idempotent"
    prompt = f"HOLD {held}"
    header = {"Idempotency-Key": "one"}
    body = json.dumps({"prompt": prompt}).encode()
    connection = http.client.HTTPConnection(urlsplit(keyed_server.url).netloc, timeout=300)
    connection.request("POST", GENERATIONS, body, {**JSON, **header, "authorization": f"Bearer {KEY}"})
    wait_for(lambda: running(keyed_server) == 1)
    with pytest.raises(openai.ConflictError) as conflict:
        client.images.generate(prompt=prompt, extra_headers=header)
    assert conflict.value.code == "idempotency_key_in_use"
    held.touch()
    first = json.loads(connection.getresponse().read())
    status, headers, again = ask(keyed_server, "POST", GENERATIONS, body, {**JSON, **header})
    assert status == 200 and again == first and headers["idempotent-replayed"] == "true"
    with pytest.raises(openai.UnprocessableEntityError) as reused:
        client.images.generate(prompt="another", extra_headers=header)
    assert reused.value.code == "idempotency_key_reused"
    other = keyed_server.client(OTHER_KEY).images.generate(prompt="another", extra_headers=header)
    assert other.data is not None and other.data[0].b64_json != first["data"][0]["b64_json"]
    failing = {"Idempotency-Key": "two"}
    for _ in range(2):  # a failure is not kept
        with pytest.raises(openai.InternalServerError):
            client.images.generate(prompt="BOOM", extra_headers=failing)
    streams = [
        list(client.images.generate(prompt="a", stream=True, extra_headers={"Idempotency-Key": "three"}))
        for _ in range(2)
    ]
    assert streams[0] == streams[1] and len(streams[0]) == 1


def queue(server: Server) -> dict[str, int]:
    return ask(server, "GET", "/v1/queue")[2]  # type: ignore[no-any-return]


def running(server: Server) -> int:
    return queue(server)["running"]


def wait_for(condition: Any, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)
