"""A prefix in an S3 bucket, on AWS or on any server that speaks S3.

botocore's client is called directly, in the callers' own threads: s3fs would send every request through the one
thread of its event loop, hides the server's error codes, and sets neither conditions nor part sizes as needed here.
What is large goes up in parts of one fixed size, a few at a time, so that memory is bounded and two runs give the
same ETag. An upload that was cut short shows no object; `sweep` frees the parts that it left.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from .errors import InvalidJob, StoreDenied, StoreUnavailable
from .s3_client import CONNECT_TIMEOUT, READ_TIMEOUT, THREADS, s3_client
from .storage import TEMPORARY, StoredObject
from .store_errors import FIRST_PATIENCE, PATIENCE, patiently, translated

T = TypeVar("T")
PART = 16 * 2**20  # bytes of a part
MOST_PARTS = 10_000  # S3's own limit
PARTS_AT_ONCE = 4
UPLOADS = 3  # times an upload is begun anew when a sweep took it away


def spans(size: int, length: int) -> list[tuple[int, int]]:
    """(start, size) of each part of at most `length` bytes."""
    return [(start, min(length, size - start)) for start in range(0, size, length)]


class S3Store:
    """Objects below one prefix of one bucket.

    Attributes:
        answered: whether the server has answered yet; see `object_store`.
    """

    threads = THREADS

    def __init__(self, url: str, answered: bool = False) -> None:
        """Args:
            answered: True in workers, which start only after the driver has reached the bucket.

        Raises:
            InvalidJob: the URL names no bucket, or holds credentials.
        """
        self.bucket, _, prefix = url.removeprefix("s3://").strip("/").partition("/")
        if not self.bucket or "@" in self.bucket:
            raise InvalidJob(
                f"an S3 URL is like s3://bucket/folder, got {'one with credentials' if self.bucket else repr(url)}; "
                "credentials come from the environment"
            )
        self.url = url.rstrip("/")
        self.base = f"{prefix}/" if prefix else ""
        self.answered = answered
        self.client = s3_client(self.url)
        from .s3_put import SmallPuts  # only now is it known that botocore is there

        self.small = SmallPuts(self.client, self.bucket, (CONNECT_TIMEOUT, READ_TIMEOUT), 2 * THREADS)

    def call(self, action: str, **parameters: Any) -> dict[str, Any]:
        """One request, tried again where that may help. A body that is to be read is read here.

        Raises:
            FileNotFoundError: no such object.
            FileExistsError: the request's condition does not hold.
            StoreError: as `s3_errors` says.
        """
        method = getattr(self.client, action)

        def once() -> dict[str, Any]:
            answer: dict[str, Any] = method(Bucket=self.bucket, **parameters)
            if action == "get_object":
                answer["Body"] = answer["Body"].read()
            return answer

        return self.patiently(once)

    def patiently(self, action: Callable[[], T]) -> T:
        from .s3_errors import s3_meaning

        result = patiently(action, self.url, PATIENCE if self.answered else FIRST_PATIENCE, s3_meaning)
        self.answered = True
        return result

    def put(self, key: str, data: bytes, durable: bool = True) -> None:
        if len(data) > PART:
            self.upload(key, len(data), lambda start, size: data[start : start + size])
        else:
            self.patiently(lambda: self.small.put(self.base + key, data))

    def put_file(self, key: str, path: Path) -> None:
        def part(start: int, size: int) -> bytes:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(size)

        size = path.stat().st_size
        if size > PART:
            self.upload(key, size, part)
        else:
            self.put(key, part(0, size))

    def upload(self, key: str, size: int, part: Callable[[int, int], bytes]) -> None:
        """In parts; `part(start, size)` gives the bytes of one."""
        length = PART
        while size > length * MOST_PARTS:
            length *= 2
        for _ in range(UPLOADS):
            begun = self.call("create_multipart_upload", Key=self.base + key)["UploadId"]
            try:
                self.upload_parts(key, begun, spans(size, length), part)
                return
            except FileNotFoundError:
                continue  # a sweep took the parts away: begin anew
            except BaseException:
                self.abort(self.base + key, begun)
                raise
        raise StoreUnavailable(f"{self.child_url(key)}: its upload was aborted from elsewhere; run the command again")

    def upload_parts(
        self, key: str, upload: str, places: list[tuple[int, int]], part: Callable[[int, int], bytes]
    ) -> None:
        """Raises:
        FileNotFoundError: the upload is not there any more, and did not become the object.
        """

        def send(number: int) -> tuple[dict[str, Any], bytes]:
            body = part(*places[number - 1])
            answer = self.call("upload_part", Key=self.base + key, UploadId=upload, PartNumber=number, Body=body)
            return {"PartNumber": number, "ETag": answer["ETag"]}, hashlib.md5(body, usedforsecurity=False).digest()

        with ThreadPoolExecutor(PARTS_AT_ONCE) as threads:
            sent = list(threads.map(send, range(1, len(places) + 1)))
        parts = {"Parts": [entry for entry, _ in sent]}
        try:
            self.call("complete_multipart_upload", Key=self.base + key, UploadId=upload, MultipartUpload=parts)
        except FileNotFoundError:
            # Also said where the first try was done and only its answer was lost.
            digests = b"".join(digest for _, digest in sent)
            wanted = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(sent)}"
            if self.call("head_object", Key=self.base + key)["ETag"].strip('"') != wanted:
                raise

    def abort(self, key: str, upload: str) -> None:
        try:
            self.call("abort_multipart_upload", Key=key, UploadId=upload)
        except FileNotFoundError:
            return

    def create(self, key: str, data: bytes) -> bool:
        try:
            self.call("put_object", Key=self.base + key, Body=data, IfNoneMatch="*")
        except FileExistsError:
            return False
        return True

    def read(self, key: str) -> bytes:
        data: bytes = self.call("get_object", Key=self.base + key)["Body"]
        return data

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        found = self.call("head_object", Key=self.base + key)
        with tempfile.TemporaryDirectory(prefix="imagegen-") as folder:
            copy = Path(folder) / "object"
            with translated(folder), copy.open("wb") as file:
                for start, size in spans(found["ContentLength"], PART):
                    asked = {"Range": f"bytes={start}-{start + size - 1}", "IfMatch": found["ETag"]}
                    try:
                        file.write(self.call("get_object", Key=self.base + key, **asked)["Body"])
                    except FileExistsError:
                        raise StoreUnavailable(f"{self.child_url(key)} changed while it was read; run again") from None
            yield copy

    def exists(self, key: str) -> bool:
        try:
            self.call("head_object", Key=self.base + key)
        except FileNotFoundError:
            return False
        except StoreDenied:
            # The answer to HEAD has no body, and so no reason; the listing's has.
            return next(self.pages("list_objects_v2", Prefix=self.base + key, MaxKeys=1)).get("KeyCount", 0) > 0
        return True

    def list(self, prefix: str) -> Iterator[StoredObject]:
        folder = f"{self.base}{prefix.strip('/')}/" if prefix else self.base
        for page in self.pages("list_objects_v2", Prefix=folder):
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):  # some writers leave a marker object for a folder
                    yield StoredObject(found["Key"][len(self.base) :], found["Size"])

    def pages(self, action: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Each page of a listing when it is asked for; never all of them in memory."""
        while True:
            page = self.call(action, **parameters)
            yield page
            if not page.get("IsTruncated"):
                return
            if action == "list_objects_v2":
                parameters["ContinuationToken"] = page["NextContinuationToken"]
            else:
                parameters |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def delete(self, key: str) -> None:
        try:
            self.call("delete_object", Key=self.base + key)
        except FileNotFoundError:
            return

    def flush(self, prefix: str) -> None:
        """A PUT is durable by itself."""

    def sweep(self) -> None:
        """Abort uploads that were cut short. One that another run still works on is begun anew by it."""
        for found in list(self.list(TEMPORARY)):
            self.delete(found.key)
        try:
            for page in self.pages("list_multipart_uploads", Prefix=self.base):
                for upload in page.get("Uploads", ()):
                    self.abort(upload["Key"], upload["UploadId"])
        except StoreDenied:
            return  # a right of its own, and without it the bucket's lifecycle rules do this

    def child_url(self, key: str) -> str:
        return f"{self.url}/{key}"
