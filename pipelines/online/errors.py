"""Every answer that is no success, in the form that OpenAI's clients read.

The official client retries 408, 409, 429 and 5xx, and obeys `Retry-After` and `x-should-retry`.
"""

from __future__ import annotations

import re
from typing import Any

from imagen_model.generation import ErrorCode

from ..endpoint import CONTENT_POLICY

REFUSALS = {
    ErrorCode.EMPTY_PROMPT,
    ErrorCode.PROMPT_TOO_LONG,
    ErrorCode.INVALID_SIZE,
    ErrorCode.INVALID_PARAMETER,
    ErrorCode.INVALID_ROW,
    ErrorCode.INVALID_IMAGE,
}
NAMES = (
    r"negative_prompt|prompt|num_inference_steps|guidance_scale|top_k|top_p|temperature|best_of|post_processing|seed"
    r"|size|width|height"
)


class ApiError(Exception):
    """An answer with an error status.

    Args:
        param: the parameter at fault.
        retry_after: seconds after which a client may try again; None where trying again is no use.
        headers: further headers.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        param: str | None = None,
        retry_after: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["retry-after"] = str(retry_after)
        elif status >= 500 or status == 429:
            self.headers["x-should-retry"] = "false"

    @property
    def kind(self) -> str:
        if self.status == 401:
            return "authentication_error"
        if self.status == 429:
            return "rate_limit_error"
        return "server_error" if self.status >= 500 else "invalid_request_error"

    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


def refused(code: str, message: str) -> ApiError:
    """A request that the model does not take (`code` is an `ErrorCode`'s), or that it failed at."""
    if code in REFUSALS:
        found = re.search(NAMES, message)
        param = found[0] if found else None
        param = "size" if param in {"width", "height"} else param
        param = "image" if code == ErrorCode.INVALID_IMAGE else param
        return ApiError(400, code, message, param)
    if code == ErrorCode.CONTENT_FILTERED:
        return ApiError(400, CONTENT_POLICY, "the model's safety checker held the picture back; another seed may pass")
    if code == ErrorCode.GENERATION_FAILED:
        message = message.removesuffix("; run retry, or change the row")
    return ApiError(500, code, message)


def queue_full(limit: int, retry_after: int) -> ApiError:
    message = f"{limit} pictures wait or are being made, which is as many as this server takes; try again later"
    return ApiError(429, "queue_full", message, retry_after=retry_after)


def deadline_exceeded(seconds: float) -> ApiError:
    return ApiError(
        504, "deadline_exceeded", f"no answer within {seconds:g} seconds; try again when less waits", retry_after=5
    )


def replica_died() -> ApiError:
    message = "the process that was making this picture died; the same request can be sent again"
    return ApiError(503, "replica_died", message, retry_after=1)


def model_loading() -> ApiError:
    return ApiError(503, "model_loading", "the model is being loaded; try again in a moment", retry_after=2)


def ingress_died() -> ApiError:
    message = "the process that was answering died; another takes its place, and the same request can be sent again"
    return ApiError(503, "ingress_died", message, retry_after=2)


def server_busy() -> ApiError:
    return ApiError(429, "server_busy", "more requests came at once than this server takes; try again", retry_after=1)


def stopping() -> ApiError:
    return ApiError(
        503,
        "server_stopping",
        "this server is stopping; try again later",
        retry_after=5,
        headers={"connection": "close"},
    )
