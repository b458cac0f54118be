"""API keys: kept as hashes, compared in constant time, each with its own rate."""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import InvalidJob
from .errors import ApiError

VARIABLE = "IMAGEGEN_API_KEYS"
SHORTEST = 16  # characters
INTERNAL = "internal"


def read_keys(path: str | None) -> tuple[bytes, ...]:
    """SHA-256 of every key in the file (one a line; empty lines and those with # are none) and the environment.

    Raises:
        InvalidJob: the file cannot be read, holds no key, or a key is too short to be secret.
    """
    keys = [key.strip() for key in os.environ.get(VARIABLE, "").split(",") if key.strip()]
    if path is not None:
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidJob(f"cannot read the API keys in {path}: {error}") from error
        found = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not found:
            raise InvalidJob(f"{path} holds no API key; write one a line")
        keys += found
    for number, key in enumerate(keys, start=1):
        if len(key) < SHORTEST:
            raise InvalidJob(
                f"API key {number} has {len(key)} characters, at least {SHORTEST} are needed; "
                "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
    return tuple(sorted({hashlib.sha256(key.encode()).digest() for key in keys}))


class Keys:
    """Args:
    digests: of the keys that may come in; none lets everybody in.
    rate_limit: pictures a minute for each key, or for all who come without one; None for no limit.
    """

    def __init__(
        self, digests: tuple[bytes, ...], rate_limit: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.digests, self.rate_limit, self.clock = digests, rate_limit, clock
        self.internal: bytes | None = None
        self.buckets: dict[str, tuple[float, float]] = {}  # owner -> (pictures allowed now, when that was so)

    def owner(self, authorization: str | None) -> str:
        """Whose request it is: a short name that stays with the key, made of a hash; "" where none is needed.

        Raises:
            ApiError: 401.
        """
        if not self.digests:
            return ""
        scheme, _, key = (authorization or "").partition(" ")
        given = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()
        # Every key is compared, so that the time says nothing of which one was near.
        known = [hmac.compare_digest(given, digest) for digest in (*self.digests, self.internal or b"")]
        if scheme.lower() != "bearer" or not any(known):
            message = "give a valid API key in the header `Authorization: Bearer KEY`"
            raise ApiError(401, "invalid_api_key", message, headers={"www-authenticate": "Bearer"})
        if known[-1]:
            return INTERNAL
        return f"key-{hashlib.sha256(given).hexdigest()[:16]}"

    def admit_internal(self) -> str:
        """A new key, for processes of this server's own; no rate limit holds for it."""
        key = secrets.token_urlsafe(32)
        self.internal = hashlib.sha256(key.encode()).digest()
        return key

    def spend(self, owner: str, pictures: int) -> None:
        """Raises:
        ApiError: 429; the rate is used up, and `Retry-After` says when it will do.
        """
        if self.rate_limit is None or owner == INTERNAL:
            return
        now = self.clock()
        left, since = self.buckets.get(owner, (float(self.rate_limit), now))
        left = min(float(self.rate_limit), left + (now - since) * self.rate_limit / 60)
        if left < pictures:
            wait = math.ceil((pictures - left) * 60 / self.rate_limit)
            message = f"this key may have {self.rate_limit} pictures a minute, and they are used up; try again later"
            raise ApiError(429, "rate_limit_exceeded", message, retry_after=wait)
        self.buckets[owner] = (left - pictures, now)
