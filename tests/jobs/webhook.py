"""A real HTTP server that takes webhooks, verifies them as standardwebhooks.com says, and may fail first."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """Args:
    answers: status of each answer in turn; 200 after them.
    tries: ids of all messages in the order in which they came; messages: those that were answered with 200.
    """

    url: str
    answers: list[int] = field(default_factory=list)
    tries: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    signatures: list[tuple[str, bytes, str | None]] = field(default_factory=list)

    def verified(self, secret: str) -> bool:
        """Whether every message is signed with the secret."""
        return all(
            given is not None
            and hmac.compare_digest(
                given.removeprefix("v1,"),
                base64.b64encode(
                    hmac.new(secret.encode(), f"{head}.".encode() + body, hashlib.sha256).digest()
                ).decode(),
            )
            for head, body, given in self.signatures
        )


@contextmanager
def receiving(*answers: int) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            identifier = self.headers["webhook-id"]
            receiver.tries.append(identifier)
            head = f"{identifier}.{self.headers['webhook-timestamp']}"
            receiver.signatures.append((head, body, self.headers["webhook-signature"]))
            status = receiver.answers.pop(0) if receiver.answers else 200
            if status == 200:
                receiver.messages.append(json.loads(body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hook", list(answers))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield receiver
        server.shutdown()
