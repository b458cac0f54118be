"""One line of OpenAI's batch files, `{custom_id, method, url, body}`, for the server and for prompt tables."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..errors import ApiError

LONGEST_ID = 512
ENDPOINT = "/v1/images/generations"
KEYS = frozenset({"custom_id", "method", "url", "body"})


@dataclass(frozen=True, slots=True)
class Line:
    """One request of the file; `number` counts from 1."""

    number: int
    custom_id: str
    body: dict[str, Any]


def read_line(number: int, raw: bytes) -> Line:
    """Raises:
    ApiError: it is no request for this program.
    """
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "invalid_json_line", f"line {number} is not JSON: {error!s:.200}") from None
    if not isinstance(found, dict):
        raise ApiError(400, "invalid_json_line", f"line {number} must be a JSON object")
    if unknown := sorted(set(found) - KEYS):
        raise ApiError(400, "unsupported_parameter", f"{unknown[0]!r:.80} is not known in a line", unknown[0][:80])
    custom_id = found.get("custom_id")
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= LONGEST_ID:
        message = f"custom_id must be text of 1 to {LONGEST_ID} characters, got {custom_id!r:.80}"
        raise ApiError(400, "invalid_custom_id", message, "custom_id")
    if found.get("method") != "POST":
        raise ApiError(400, "invalid_method", f"method must be POST, got {found.get('method')!r:.80}", "method")
    if found.get("url") != ENDPOINT:
        raise ApiError(400, "mismatched_url", f"url must be {ENDPOINT}, got {found.get('url')!r:.80}", "url")
    if not isinstance(found.get("body"), dict):
        raise ApiError(400, "invalid_body", "body must be an object with the request's parameters", "body")
    return Line(number, custom_id, found["body"])


def check_answerable(line: Line, stream: bool, by_url: bool) -> None:
    """Raises:
    ApiError: the line asks for what no file of answers can give.
    """
    if stream:
        raise ApiError(400, "invalid_value", "a batch cannot stream: leave stream out", "stream")
    if by_url:
        message = "a batch's pictures come as b64_json: leave response_format out"
        raise ApiError(400, "invalid_value", message, "response_format")
    try:
        line.custom_id.encode()
    except UnicodeEncodeError:
        raise ApiError(400, "invalid_custom_id", "custom_id holds half a surrogate pair", "custom_id") from None
