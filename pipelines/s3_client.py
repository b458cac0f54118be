"""botocore's client for S3, with answers that are whole or an error.

What is unusual: Python's `http.client` takes an answer that was cut within its headers for one with fewer headers,
and one that was cut within its body for a shorter one. A listing would then be empty, or an object short. Here both
are errors, which pass at another try.
"""

from __future__ import annotations

from http.client import HTTPResponse, IncompleteRead, RemoteDisconnected
from typing import Any

from .errors import InvalidJob, StoreDenied

CONNECT_TIMEOUT, READ_TIMEOUT = 5, 30  # seconds
THREADS = 16  # requests at once


class LastLine:
    """A stream that remembers the last line that was read from it."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.line = b""

    def readline(self, *limit: int) -> bytes:
        self.line = self.stream.readline(*limit)
        return self.line

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class WholeResponse(HTTPResponse):
    """Raises where the connection ended before the answer did."""

    def begin(self) -> None:
        if self.headers is not None:
            return
        stream = self.fp
        watched = LastLine(stream)
        self.fp = watched  # type: ignore[assignment]
        super().begin()
        self.fp = stream
        if not watched.line:
            raise RemoteDisconnected("the connection was cut within an answer's headers")

    def read(self, amt: int | None = None) -> bytes:
        data = super().read(amt)
        if amt and not data and self.length:
            raise IncompleteRead(b"", self.length)
        return data


def client_options() -> dict[str, Any]:
    """botocore's settings, for every client of S3 here."""
    return {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": READ_TIMEOUT,
        "max_pool_connections": 2 * THREADS,
        "retries": {"total_max_attempts": 1},  # `patiently` tries again, and for longer
        # Checksums in trailers are newer than many servers; each body's length and signature are checked anyway.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }


def s3_client(url: str) -> Any:
    """botocore's client with endpoint, region and credentials from the environment. Asks no server.

    Raises:
        InvalidJob: the libraries for S3 are missing.
        StoreDenied: the environment's settings contradict each other.
    """
    try:
        import botocore.awsrequest
        import botocore.config
        import botocore.exceptions
        import botocore.handlers
        import botocore.session
    except ImportError:
        raise InvalidJob(f"{url}: libraries for S3 are missing; run pip install '.[s3]' in imagegen's folder") from None
    for connection in (botocore.awsrequest.AWSHTTPConnection, botocore.awsrequest.AWSHTTPSConnection):
        connection.response_class = WholeResponse
    session = botocore.session.get_session()
    region = session.get_config_variable("region") or "us-east-1"
    try:
        config = botocore.config.Config(**client_options(), tcp_keepalive=True)
        client = session.create_client("s3", region_name=region, config=config)
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise StoreDenied(
            f"{url}: the S3 settings of the environment cannot be used ({error}); check AWS_ENDPOINT_URL, "
            "AWS_PROFILE and AWS_DEFAULT_REGION"
        ) from error
    # Asking before each body costs a round trip, which for a small picture is half of the time.
    client.meta.events.unregister("before-call.s3", botocore.handlers.add_expect_header)
    return client
