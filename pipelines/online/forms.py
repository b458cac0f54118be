"""A form with one file, counted while it comes and spooled to disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from fastapi import Request
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser

from .errors import ApiError
from .frontier import BODY_SECONDS

FORM_OVERHEAD = 2**16  # bytes of a form beside the file's own and its fields'


async def read_form(request: Request, limit: int, too_large: ApiError, fields: int, field_bytes: int) -> FormData:
    """Whoever calls this closes it.

    Args:
        limit: bytes of the file.
        too_large: what is raised beyond.
        fields: most of them; each has at most `field_bytes`.

    Raises:
        ApiError: it is no form, too large or too slow.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise ApiError(415, "unsupported_media_type", f"content-type must be multipart/form-data, got {kind!r:.80}")
    most = limit + FORM_OVERHEAD + field_bytes
    told = request.headers.get("content-length", "0")
    if told.isdecimal() and int(told) > most:
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
            if count > most:
                raise too_large
            yield piece

    try:
        parser = MultiPartParser(request.headers, body(), max_files=1, max_fields=fields, max_part_size=field_bytes)
        return await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError) as error:
        raise ApiError(400, "invalid_form", f"the form cannot be read: {error}") from None
