"""What an answer of an S3 server means, with the remedy. What may pass (503, a cut connection) means nothing here."""

from __future__ import annotations

from http.client import HTTPException
from typing import Any

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError as URLLib3Error

from .errors import NoSuchBucket, StoreDenied, StoreError, StoreFull

ABSENT = {"NoSuchKey", "NoSuchUpload", "404", "NotFound"}
TAKEN = {"PreconditionFailed", "412"}
FULL = {"QuotaExceeded", "XMinioStorageFull", "507"}
# A body that was cut on its way is refused with a client error, and two writers at once with a conflict.
PASSING = {
    "BadDigest",
    "IncompleteBody",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "XAmzContentSHA256Mismatch",
    "ConditionalRequestConflict",
    "OperationAborted",
    "408",
    "409",
    "429",
}
CREDENTIALS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"


def code_of(error: Exception) -> str:
    """The server's own word for what went wrong; "" where it said none."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def status_of(error: Exception) -> int:
    """The HTTP status; 0 where there was no answer."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def s3_meaning(error: Exception, url: str) -> Exception | None:
    """The error to raise at once; None where another try may help."""
    if isinstance(error, StoreError | FileNotFoundError):
        return error
    if isinstance(error, boto.ClientError):
        return answer_meaning(error, url)
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError):
        return StoreDenied(f"{url}: no S3 credentials were found ({error}); set {KEYS}")
    if isinstance(error, boto.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return StoreDenied(f"{url}: the server's certificate is not trusted ({error}); set AWS_CA_BUNDLE")
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError | boto.ResponseStreamingError | OSError):
        return None
    if isinstance(error, boto.IncompleteReadError | ResponseParserError | HTTPException | URLLib3Error):
        return None  # a body that was cut
    if isinstance(error, boto.BotoCoreError):
        return StoreDenied(f"{url} cannot be used ({error}); correct the URL or the S3 settings of the environment")
    return error


def answer_meaning(error: boto.ClientError, url: str) -> Exception | None:
    code, status = code_of(error), status_of(error)
    if code in ABSENT:
        return FileNotFoundError(url)
    if code in TAKEN:
        return FileExistsError(url)
    if code in FULL or status == 507:
        return StoreFull(f"no space left at {url} ({code}); raise the quota or free some, then run the command again")
    if code == "NoSuchBucket":
        bucket = url.removeprefix("s3://").partition("/")[0]
        return NoSuchBucket(f"there is no bucket {bucket!r} on the S3 server; create it, or correct {url}")
    if code in CREDENTIALS:
        return StoreDenied(f"{url}: the S3 server refuses the credentials ({code}); check {KEYS}")
    if code in REGION or status == 301:
        return StoreDenied(f"{url}: the bucket is in another region ({code}); set AWS_DEFAULT_REGION")
    if code in PASSING or status >= 500 or status in {408, 409, 429} or "slow" in code.lower() or "Thrott" in code:
        return None
    if status == 403:
        return StoreDenied(
            f"{url}: no permission for {error.operation_name} ({code}); grant listing, reading, writing and deleting, "
            "or give another place"
        )
    return StoreDenied(f"{url}: the S3 server refuses {error.operation_name} ({code}: {error}); correct the URL")
