"""Files and batches as OpenAI's clients send and read them (https://platform.openai.com/docs/api-reference/batch)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

WINDOW_SECONDS = 24 * 3600
SHORTEST_LIFE, LONGEST_LIFE = 3600, 30 * 24 * 3600  # seconds that `expires_after` may ask for

Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
FINISHED = frozenset({"failed", "completed", "expired", "cancelled"})
Text64 = Annotated[str, StringConstraints(max_length=64)]
Text512 = Annotated[str, StringConstraints(max_length=512)]


class FileObject(BaseModel):
    """Times are Unix seconds."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None = None
    filename: str
    purpose: Literal["batch", "batch_output"]
    status: Literal["processed"] = "processed"
    status_details: None = None


class FileList(BaseModel):
    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(BaseModel):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class BatchError(BaseModel):
    """Why a batch as a whole cannot be run; `line` counts from 1."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class BatchErrors(BaseModel):
    object: Literal["list"] = "list"
    data: list[BatchError]


class RequestCounts(BaseModel):
    total: int = 0
    completed: int = 0
    failed: int = 0


class Batch(BaseModel):
    """Times are Unix seconds."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: Literal["/v1/images/generations"] = "/v1/images/generations"
    model: str
    errors: BatchErrors | None = None
    input_file_id: str
    completion_window: Literal["24h"] = "24h"
    status: Status = "validating"
    output_file_id: str | None = None
    error_file_id: str | None = None
    created_at: int
    in_progress_at: int | None = None
    expires_at: int
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: RequestCounts = RequestCounts()
    metadata: dict[str, str] | None = None

    @property
    def finished(self) -> bool:
        return self.status in FINISHED

    def moved(self, status: Status, at: int) -> Batch:
        """The batch in another status, entered at that time."""
        return self.model_copy(update={"status": status, f"{status}_at": at})


class BatchList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Batch]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ExpiresAfter(BaseModel):
    """When a file goes: so many seconds after it was made."""

    model_config = ConfigDict(extra="forbid", strict=True)

    anchor: Literal["created_at"]
    seconds: int = Field(ge=SHORTEST_LIFE, le=LONGEST_LIFE)


class BatchRequest(BaseModel):
    """The body of `POST /v1/batches`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    input_file_id: str
    endpoint: Literal["/v1/images/generations"]
    completion_window: Literal["24h"]
    metadata: dict[Text64, Text512] | None = Field(None, max_length=16)
    output_expires_after: ExpiresAfter | None = None


class StoredFile(BaseModel):
    """A file's record. `owner` is a short name of the API key that it belongs to."""

    owner: str
    file: FileObject


class StoredBatch(BaseModel):
    """A batch's record.

    Args:
        output_life: seconds that its output files are kept; None for as long as the batch.
        idempotency_key, request_digest: of the request that made it, where it gave a key.
    """

    owner: str
    batch: Batch
    output_life: int | None = None
    idempotency_key: str | None = None
    request_digest: str | None = None
