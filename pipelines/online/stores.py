"""What the server keeps for a while, each with a limit and an expiry: pictures asked for by URL, and answers by
idempotency key. Both are in the memory of the one ingress process and go with it."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from .errors import ApiError

ANSWERS_SECONDS = 3600.0
ANSWERS_BYTES = 128 * 2**20
ANSWERS = 10_000


@dataclass(frozen=True, slots=True)
class File:
    data: bytes
    media_type: str
    expires: float


class FileStore:
    """Pictures under names that nobody can guess (256 random bits); the oldest go when there is no room."""

    def __init__(self, seconds: float, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self.max_bytes, self.clock = seconds, max_bytes, clock
        self.files: OrderedDict[str, File] = OrderedDict()
        self.bytes = 0

    def put(self, data: bytes, extension: str, media_type: str) -> str:
        """The file's name."""
        name = f"{secrets.token_urlsafe(32)}.{extension}"
        self.files[name] = File(data, media_type, self.clock() + self.seconds)
        self.bytes += len(data)
        while self.bytes > self.max_bytes and len(self.files) > 1:
            self.drop_oldest()
        self.sweep()
        return name

    def get(self, name: str) -> File | None:
        self.sweep()
        return self.files.get(name)

    def sweep(self) -> None:
        while self.files and next(iter(self.files.values())).expires <= self.clock():
            self.drop_oldest()

    def drop_oldest(self) -> None:
        _, file = self.files.popitem(last=False)
        self.bytes -= len(file.data)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was given; `request` is the hash of the body that it answers."""

    request: bytes
    body: bytes
    media_type: str
    expires: float


class Answers:
    """Answers by idempotency key. Only successes are kept: what failed may be tried again under its key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.making: dict[tuple[str, str], bytes] = {}  # bounded by the queue
        self.kept: OrderedDict[tuple[str, str], Answer] = OrderedDict()
        self.bytes = 0

    def begin(self, owner: str, key: str, body: bytes) -> Answer | None:
        """The stored answer; None when this request is to make it, and then `end` must follow.

        Args:
            owner: whose key it is; two API keys never see each other's answers.

        Raises:
            ApiError: 409 while the first request is at work, 422 when that one had another body.
        """
        if not 1 <= len(key) <= 255:
            raise ApiError(400, "invalid_idempotency_key", "Idempotency-Key must have 1 to 255 characters")
        self.sweep()
        place, digest = (owner, key), hashlib.sha256(body).digest()
        answer = self.kept.get(place)
        if self.making.get(place, answer.request if answer else digest) != digest:
            message = "this Idempotency-Key was used with another body; take a new key for a new request"
            raise ApiError(422, "idempotency_key_reused", message)
        if place in self.making:
            message = "the first request with this Idempotency-Key is still at work; try again in a moment"
            raise ApiError(409, "idempotency_key_in_use", message, retry_after=1)
        if answer is None:
            self.making[place] = digest
        return answer

    def end(self, owner: str, key: str, body: bytes | None, media_type: str = "application/json") -> None:
        """Keep the answer; None for a failure, after which the key is free again."""
        digest = self.making.pop((owner, key))
        if body is not None:
            self.kept[owner, key] = Answer(digest, body, media_type, self.clock() + ANSWERS_SECONDS)
            self.bytes += len(body)
            self.sweep()

    def sweep(self) -> None:
        while self.kept:
            place, oldest = next(iter(self.kept.items()))
            if self.bytes <= ANSWERS_BYTES and len(self.kept) <= ANSWERS and oldest.expires > self.clock():
                return
            del self.kept[place]
            self.bytes -= len(oldest.body)
