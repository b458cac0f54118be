"""`/v1/files` and `/v1/batches` over a `BatchStore` and a `BatchRunner`."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Literal, TypeVar

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response, StreamingResponse

from ..errors import ApiError, stopping
from ..frontier import read_body
from ..openapi import errors, success
from ..request_schema import IDEMPOTENCY_KEY
from ..schemas import read_body_as
from ..service import Service
from .runner import BatchRunner
from .schemas import (
    WINDOW_SECONDS,
    Batch,
    BatchList,
    BatchRequest,
    FileDeleted,
    FileList,
    FileObject,
    StoredBatch,
)
from .store import BatchStore, content_key, new_id
from .uploads import UPLOAD, check_life, uploaded

CHUNK = 2**20
MOST_BYTES_KEPT = 100  # times the largest file
Listed = TypeVar("Listed", FileObject, Batch)


class Batches:
    """What the routes stand on."""

    def __init__(self, service: Service, store: BatchStore, runner: BatchRunner) -> None:
        self.service, self.store, self.runner = service, store, runner
        self.most_file_bytes = int(service.settings.max_file_megabytes * 2**20)

    async def owner(self, request: Request) -> str:
        """Whose request it is.

        Raises:
            ApiError: 401 or 503.
        """
        owner = self.service.keys.owner(request.headers.get("authorization"))
        if self.service.draining:
            raise stopping()
        await self.runner.check_available()
        return owner


def add_batches(app: FastAPI, batches: Batches) -> None:
    add_files(app, batches)
    add_batch_routes(app, batches)


def add_files(app: FastAPI, batches: Batches) -> None:
    store = batches.store
    form = {"required": True, "content": {"multipart/form-data": {"schema": UPLOAD}}}

    @app.post(
        "/v1/files",
        openapi_extra={"requestBody": form},
        responses=success(FileObject, "The file, stored.") | errors(400, 401, 408, 413, 415, 503),
    )
    async def upload(request: Request) -> FileObject:
        owner = await batches.owner(request)
        kept = await asyncio.to_thread(store.stored_bytes)
        if kept > MOST_BYTES_KEPT * batches.most_file_bytes:
            message = f"the files kept here have {kept:,} bytes, which is as many as this server takes; delete some"
            raise ApiError(413, "storage_full", message)
        async with uploaded(request, batches.most_file_bytes) as file:
            now = int(time.time())
            life = check_life(file.fields)
            stored = FileObject(
                id=new_id("file-"),
                bytes=file.size,
                created_at=now,
                expires_at=None if life is None else now + life,
                filename=file.name,
                purpose="batch",
            )
            await asyncio.to_thread(store.add_file, owner, file.path, stored)
        return stored

    @app.get("/v1/files", responses=success(FileList, "Files of this key.") | errors(400, 401, 503))
    async def files(
        request: Request,
        purpose: str | None = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
        order: Literal["asc", "desc"] = "desc",
        after: str | None = None,
    ) -> FileList:
        owner = await batches.owner(request)
        found = await asyncio.to_thread(store.files, owner)
        found = [file for file in found if purpose is None or file.purpose == purpose]
        shown, more = page(found if order == "asc" else found[::-1], after, limit)
        first, last = ends(shown)
        return FileList(data=shown, first_id=first, last_id=last, has_more=more)

    @app.get("/v1/files/{file_id}", responses=success(FileObject, "The file's record.") | errors(401, 404, 503))
    async def file(request: Request, file_id: str) -> FileObject:
        return await asyncio.to_thread(store.file, await batches.owner(request), file_id)

    @app.get(
        "/v1/files/{file_id}/content",
        response_class=Response,
        responses=success(None, "The file's bytes.", content={"application/jsonl": {"schema": {"type": "string"}}})
        | errors(401, 404, 503),
    )
    async def content(request: Request, file_id: str) -> Response:
        found = await asyncio.to_thread(store.file, await batches.owner(request), file_id)
        headers = {"content-length": str(found.bytes), "x-content-type-options": "nosniff"}
        return StreamingResponse(pieces(store, found.id), headers=headers, media_type="application/jsonl")

    @app.delete("/v1/files/{file_id}", responses=success(FileDeleted, "It is gone.") | errors(401, 404, 503))
    async def delete(request: Request, file_id: str) -> FileDeleted:
        found = await asyncio.to_thread(store.file, await batches.owner(request), file_id)
        await asyncio.to_thread(store.delete_file, found.id)
        return FileDeleted(id=found.id)


def add_batch_routes(app: FastAPI, batches: Batches) -> None:
    store = batches.store
    body = {"required": True, "content": {"application/json": {"schema": BatchRequest.model_json_schema()}}}

    @app.post(
        "/v1/batches",
        openapi_extra={"requestBody": body, "parameters": [IDEMPOTENCY_KEY]},
        responses=success(Batch, "The batch, about to be run.") | errors(400, 401, 404, 408, 413, 415, 422, 503),
    )
    async def create(request: Request) -> Batch:
        owner = await batches.owner(request)
        read = await read_json(request, batches.service.settings.max_body)
        wanted = read_body_as(BatchRequest, read)
        key = request.headers.get("idempotency-key")
        digest = hashlib.sha256(wanted.model_dump_json().encode()).hexdigest()
        if key is not None and (found := await asyncio.to_thread(known, store, owner, key, digest)):
            return found
        source = await asyncio.to_thread(store.file, owner, wanted.input_file_id)
        if source.purpose != "batch":
            message = f"{source.id} is the output of a batch; give a file that was uploaded with the purpose batch"
            raise ApiError(400, "invalid_purpose", message, "input_file_id")
        now = int(time.time())
        batch = Batch(
            id=new_id("batch_"),
            model=batches.service.model.name,
            input_file_id=source.id,
            created_at=now,
            expires_at=now + WINDOW_SECONDS,
            metadata=wanted.metadata,
        )
        life = wanted.output_expires_after
        stored = StoredBatch(
            owner=owner,
            batch=batch,
            output_life=None if life is None else life.seconds,
            idempotency_key=key,
            request_digest=digest,
        )
        await asyncio.to_thread(store.put_batch, stored)
        batches.runner.submit(batch.id)
        return batch

    @app.get("/v1/batches", responses=success(BatchList, "Batches of this key.") | errors(400, 401, 503))
    async def listed(
        request: Request, limit: Annotated[int, Query(ge=1, le=100)] = 20, after: str | None = None
    ) -> BatchList:
        found = await asyncio.to_thread(store.batches, await batches.owner(request))
        shown, more = page(found[::-1], after, limit)
        first, last = ends(shown)
        return BatchList(data=shown, first_id=first, last_id=last, has_more=more)

    @app.get("/v1/batches/{batch_id}", responses=success(Batch, "How far it is.") | errors(401, 404, 503))
    async def batch(request: Request, batch_id: str) -> Batch:
        return await asyncio.to_thread(store.batch, await batches.owner(request), batch_id)

    @app.post(
        "/v1/batches/{batch_id}/cancel",
        responses=success(Batch, "It stops; what is made is kept.") | errors(400, 401, 404, 503),
    )
    async def cancel(request: Request, batch_id: str) -> Batch:
        owner = await batches.owner(request)
        found = await asyncio.to_thread(store.batch, owner, batch_id)
        if found.finished or found.status == "finalizing":
            message = f"the batch is {found.status} and cannot be cancelled any more"
            raise ApiError(400, "invalid_batch_status", message, "batch_id")
        await asyncio.to_thread(store.ask_cancel, found.id)
        batches.runner.cancel(found.id)
        return await asyncio.to_thread(store.batch, owner, batch_id)


def known(store: BatchStore, owner: str, key: str, digest: str) -> Batch | None:
    """The batch that an earlier request with this idempotency key made.

    Raises:
        ApiError: 422; that request had another body.
    """
    for stored in store.stored_batches():
        if stored.owner == owner and stored.idempotency_key == key:
            if stored.request_digest != digest:
                message = "this Idempotency-Key was used with another body; take a new key for a new request"
                raise ApiError(422, "idempotency_key_reused", message)
            return store.shown(stored.batch)
    return None


def page(found: Sequence[Listed], after: str | None, limit: int) -> tuple[list[Listed], bool]:
    """What comes after that id, and whether there is more.

    Raises:
        ApiError: 400; there is no such id.
    """
    start = 0
    if after is not None:
        ids = [each.id for each in found]
        if after not in ids:
            raise ApiError(400, "invalid_value", f"after: there is nothing with the id {after!r:.80}", "after")
        start = ids.index(after) + 1
    return list(found[start : start + limit]), len(found) > start + limit


def ends(shown: Sequence[Listed]) -> tuple[str | None, str | None]:
    return (shown[0].id, shown[-1].id) if shown else (None, None)


async def pieces(store: BatchStore, file_id: str) -> AsyncGenerator[bytes]:
    with store.store.local_copy(content_key(file_id)) as path, path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, CHUNK):
            yield piece


async def read_json(request: Request, limit: int) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "unsupported_media_type", f"content-type must be application/json, got {kind!r:.80}")
    return await read_body(request, limit)
