"""A file that comes in a form, counted while it comes and spooled to disk."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ..errors import ApiError
from ..frontier import BODY_SECONDS
from ..schemas import mistake
from .schemas import LONGEST_LIFE, SHORTEST_LIFE, ExpiresAfter

CHUNK = 2**20
FORM_OVERHEAD = 2**16  # bytes of a form beside the file's own
LIFE = ("anchor", "seconds")
UPLOAD: dict[str, Any] = {
    "type": "object",
    "required": ["file", "purpose"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "JSON lines, one request each."},
        "purpose": {"type": "string", "enum": ["batch"]},
        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
        "expires_after[seconds]": {"type": "integer", "minimum": SHORTEST_LIFE, "maximum": LONGEST_LIFE},
    },
    "additionalProperties": False,
    "dependentRequired": {
        "expires_after[anchor]": ["expires_after[seconds]"],
        "expires_after[seconds]": ["expires_after[anchor]"],
    },
}


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Args:
    name: the file's, as its sender calls it.
    fields: beside the file.
    path: its bytes on this machine, `size` of them.
    """

    name: str
    fields: dict[str, str]
    path: Path
    size: int


@asynccontextmanager
async def uploaded(request: Request, limit: int) -> AsyncGenerator[Uploaded]:
    """The form's file, on this machine's disk until the context ends.

    Raises:
        ApiError: it is none, too large, too slow, or says what this server does not take.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise ApiError(415, "unsupported_media_type", f"content-type must be multipart/form-data, got {kind!r:.80}")
    too_large = ApiError(413, "file_too_large", f"a file may have at most {limit:,} bytes; split it", "file")
    told = request.headers.get("content-length", "0")
    if told.isdecimal() and int(told) > limit + FORM_OVERHEAD:
        raise too_large

    async def body() -> AsyncGenerator[bytes]:
        """Its pieces, counted; a pause between two may take so long."""
        count = 0
        stream = request.stream()
        while True:
            try:
                piece = await asyncio.wait_for(anext(stream), BODY_SECONDS)
            except StopAsyncIteration:
                return
            except TimeoutError:
                message = f"nothing of the body came for {BODY_SECONDS:g} seconds"
                raise ApiError(408, "body_timeout", message) from None
            count += len(piece)
            if count > limit + FORM_OVERHEAD:
                raise too_large
            yield piece

    try:
        form = await MultiPartParser(request.headers, body(), max_files=1, max_fields=8, max_part_size=4096).parse()
    except (MultiPartException, KeyError, UnicodeDecodeError) as error:
        raise ApiError(400, "invalid_form", f"the form cannot be read: {error}") from None
    try:
        file, fields = check_form(dict(form.multi_items()))
        with tempfile.NamedTemporaryFile(prefix="imagegen-upload-") as copy:
            size = 0
            while piece := await file.read(CHUNK):
                size += len(piece)
                await asyncio.to_thread(copy.write, piece)
            if size > limit:
                raise too_large
            copy.flush()
            yield Uploaded((file.filename or "file.jsonl")[:255], fields, Path(copy.name), size)
    finally:
        await form.close()


def check_form(values: dict[str, UploadFile | str]) -> tuple[UploadFile, dict[str, str]]:
    for name in values:
        if name not in UPLOAD["properties"]:
            known = ", ".join(UPLOAD["properties"])
            message = f"parameter {name!r:.100} is not known; known are: {known}"
            raise ApiError(400, "unsupported_parameter", message, name[:100])
    file, purpose = values.get("file"), values.get("purpose")
    if not isinstance(file, UploadFile):
        raise ApiError(400, "missing_required_parameter", "parameter 'file' is missing; send a file", "file")
    if purpose != "batch":
        raise ApiError(400, "invalid_value", f"purpose must be batch, got {purpose!r:.80}", "purpose")
    return file, {name: value for name, value in values.items() if isinstance(value, str)}


def check_life(fields: dict[str, str]) -> int | None:
    """Seconds that the file is kept; None for as long as this server keeps files."""
    given = {name: fields[f"expires_after[{name}]"] for name in LIFE if f"expires_after[{name}]" in fields}
    if not given:
        return None
    try:
        return ExpiresAfter.model_validate(given, strict=False).seconds  # a form's values are all text
    except ValidationError as problem:
        error = mistake(problem)
        error.param = f"expires_after[{error.param}]"
        raise error from None
