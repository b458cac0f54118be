"""Webhooks: a run tells a URL when it starts, when it ends, and when too much of it failed.

The form is that of https://www.standardwebhooks.com, so that its libraries verify it: headers `webhook-id`,
`webhook-timestamp` and `webhook-signature`, which is HMAC-SHA256 over id, time and body. A thread of its own sends,
in order, so that no GPU waits; what cannot be delivered is said and never hurts the run.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import queue
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from .console import say
from .job_files.settings import Notification

TRIES = 6
FIRST_WAIT = 1.0  # seconds before the second try, twice as long before each further one
LONGEST_WAIT = 30.0
TIMEOUT = 10.0  # seconds of one try
FAREWELL = 90.0  # seconds that the end of a run waits for what is not delivered yet
PASSING = {408, 425, 429}  # and all from 500 on


def signature(secret: str, identifier: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 of the HMAC. A secret may be any text, or base64 behind `whsec_`."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        with suppress(binascii.Error):  # else it is text that happens to begin like this
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    signed = f"{identifier}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class Notifier:
    """A context in which `tell` sends; at its end what is still to be sent is waited for.

    Args:
        notification: None tells nobody.
        about: what every message says of the run.
        first_wait: seconds before the second try.
    """

    def __init__(
        self, notification: Notification | None, about: Mapping[str, Any], first_wait: float = FIRST_WAIT
    ) -> None:
        self.notification = notification
        self.about = dict(about)
        self.first_wait = first_wait
        name = notification.secret_env if notification else None
        self.secret = os.environ.get(name) if name else None
        self.waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self.send_all, name="notification", daemon=True)

    def __enter__(self) -> Self:
        if self.notification is not None:
            self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.notification is not None:
            self.waiting.put(None)
            self.thread.join(FAREWELL)

    def tell(self, event: str, **data: Any) -> None:
        """Args:
        event: start, end or failure_budget; sent if the job file asks for it.
        """
        if self.notification is None or event not in self.notification.events:
            return
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        message = {"type": f"imagegen.{event}", "timestamp": moment, "data": {**self.about, **data}}
        self.waiting.put(json.dumps(message, ensure_ascii=False, default=str).encode())

    def send_all(self) -> None:
        while (body := self.waiting.get()) is not None:
            self.send(body)

    def send(self, body: bytes) -> None:
        import httpx2

        assert self.notification is not None
        identifier = f"msg_{uuid.uuid4().hex}"  # the same for every try, by which a receiver knows a repetition
        wait, trouble = self.first_wait, ""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT)
            try:
                answer = httpx2.post(
                    self.notification.url, content=body, headers=self.headers(identifier, body), timeout=TIMEOUT
                )
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
                trouble = type(error).__name__  # its text may hold the URL, and that a secret
                continue
            if answer.is_success:
                return
            trouble = f"status {answer.status_code}"
            if answer.status_code < 500 and answer.status_code not in PASSING:
                break
        say(f"imagegen: {urlsplit(self.notification.url).hostname} was not notified ({trouble}); the run is unharmed")

    def headers(self, identifier: str, body: bytes) -> dict[str, str]:
        timestamp = int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": "imagegen",
            "webhook-id": identifier,
            "webhook-timestamp": str(timestamp),
        }
        if self.secret:
            headers["webhook-signature"] = signature(self.secret, identifier, timestamp, body)
        return headers
