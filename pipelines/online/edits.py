"""The form of `POST /v1/images/edits`, as OpenAI's client sends it: here, a grey picture that is to be colorized."""

from __future__ import annotations

import asyncio
import hashlib
import json

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from imagen_model.generation import GreyPicture, InvalidRequest
from imagen_model.post_processing import COLORIZE

from .errors import ApiError, refused
from .forms import read_form
from .schemas import Asked, ImageRequest, asked_for, check_model, make_requests, mistake, unknown
from .service import Service

IMAGE = ("image", "image[]")  # the latter where a client was given a list
FIELD_BYTES = 2**16  # a prompt's characters take up to 4 each


async def read_edit(request: Request, service: Service, later: bool, reading: asyncio.Lock) -> tuple[Asked, bytes]:
    """What is asked for, and the same said in one way for its idempotency key.

    Args:
        reading: held while a picture is in memory.

    Raises:
        ApiError: 400, 404, 408, 413 or 415.
    """
    limit = int(service.settings.max_image_megabytes * 2**20)
    too_large = ApiError(413, "image_too_large", f"image may have at most {limit:,} bytes; make it smaller", "image")
    form = await read_form(request, limit, too_large, len(ImageRequest.model_fields), FIELD_BYTES)
    try:
        given, file = check_edit(form.multi_items())
        check_model(given, service.model.names)
        async with reading:
            data = await file.read(limit + 1)
            if len(data) > limit:
                raise too_large
            asked = await asyncio.to_thread(ask, given, data, service, later)
    finally:
        await form.close()
    said = given.model_dump() | {"image": hashlib.sha256(data).hexdigest()}
    return asked, json.dumps(said, sort_keys=True).encode()


def ask(given: ImageRequest, data: bytes, service: Service, later: bool) -> Asked:
    try:
        grey = GreyPicture.read(data)
    except InvalidRequest as refusal:
        raise refused(refusal.code, refusal.message) from None
    return asked_for(given, make_requests(given, service.model.rules, grey), later)


def check_edit(items: list[tuple[str, UploadFile | str]]) -> tuple[ImageRequest, UploadFile]:
    """The form's fields, which are all text, as the JSON body of other requests has them; and its picture."""
    fields: dict[str, str] = {}
    files: list[UploadFile] = []
    for name, value in items:
        if name in IMAGE:
            if not isinstance(value, UploadFile):
                raise ApiError(400, "invalid_type", "image must be a file, got text; send the picture itself", "image")
            files.append(value)
        elif name not in ImageRequest.model_fields:
            raise unknown(name, ("image", *ImageRequest.model_fields))
        elif not isinstance(value, str) or name in fields:
            raise ApiError(400, "invalid_value", f"{name} must be there once, as text", name)
        else:
            fields[name] = value
    if len(files) != 1:
        message = "parameter 'image' is missing; send one picture" if not files else "one image at a time is taken"
        raise ApiError(400, "missing_required_parameter" if not files else "invalid_value", message, "image")
    fields.setdefault("post_processing", COLORIZE)
    try:
        given = ImageRequest.model_validate(fields, strict=False)
    except ValidationError as problem:
        raise mistake(problem) from None
    if given.stream or given.partial_images:
        message = "a picture that is colorized is not streamed: leave stream and partial_images out"
        raise ApiError(400, "invalid_value", message, "stream")
    return given, files[0]
