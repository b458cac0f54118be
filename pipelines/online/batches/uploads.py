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

from ..errors import ApiError
from ..forms import read_form
from ..schemas import mistake
from .schemas import LONGEST_LIFE, SHORTEST_LIFE, ExpiresAfter

CHUNK = 2**20
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
    too_large = ApiError(413, "file_too_large", f"a file may have at most {limit:,} bytes; split it", "file")
    form = await read_form(request, limit, too_large, fields=8, field_bytes=4096)
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
