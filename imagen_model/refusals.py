"""Why there is no picture, by code, and the error by which a request is refused."""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """Why a row has no image. The value is what the manifest's `error_code` column holds."""

    EMPTY_PROMPT = "empty_prompt"
    PROMPT_TOO_LONG = "prompt_too_long"
    INVALID_SIZE = "invalid_size"
    INVALID_PARAMETER = "invalid_parameter"
    INVALID_ROW = "invalid_row"
    INVALID_IMAGE = "invalid_image"  # of a row that brings a picture
    OUT_OF_MEMORY = "out_of_memory"
    GENERATION_FAILED = "generation_failed"
    ENCODE_FAILED = "encode_failed"
    UPLOAD_FAILED = "upload_failed"
    WORKER_DIED = "worker_died"
    CONTENT_FILTERED = "content_filtered"  # by the model's own safety checker: the row is not failed but filtered


class InvalidRequest(ValueError):
    """A request that cannot be built or that a model does not take; `code` says of what kind it is."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
