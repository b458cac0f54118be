"""Reading prompt tables over a network: the file system, and the same patience that the output has.

fsspec gives what tables need (folders, globs, reading from the middle of a file). A read that fails is begun
anew as a whole, so whatever is handed to `reading` must be repeatable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pyarrow as pa
from fsspec.core import url_to_fs

from .errors import InvalidJob, PipelineError, StoreError, UnreadableTable
from .store_errors import FIRST_PATIENCE, PATIENCE, patiently

T = TypeVar("T")


def is_remote(url: str) -> bool:
    return "://" in url and not url.startswith(("file://", "memory://"))


def filesystem_of(url: str) -> tuple[Any, str]:
    """fsspec's file system for a path or URL, and the path on it.

    Raises:
        InvalidJob: the libraries for such URLs are missing.
    """
    options: dict[str, Any] = {}
    if url.startswith("s3://"):
        from .s3_client import client_options

        options = {"config_kwargs": client_options(), "use_listings_cache": False}
    try:
        filesystem, path = url_to_fs(url, **options)
    except ImportError as error:
        extra = "; run pip install '.[s3]' in imagegen's folder" if url.startswith("s3://") else ""
        raise InvalidJob(f"{url}: the libraries for such URLs are missing ({error}){extra}") from None
    return filesystem, path


def check_answers(url: str) -> None:
    """Ask an S3 server for the listing that the table needs, so that what is wrong is said within seconds.

    Raises:
        StoreError: the server, the bucket or the credentials, by name.
    """
    if url.startswith("s3://"):
        from .s3_store import S3Store

        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        fixed = prefix[: min((prefix.index(mark) for mark in "*?[" if mark in prefix), default=len(prefix))]
        next(S3Store(f"s3://{bucket}").pages("list_objects_v2", Prefix=fixed, MaxKeys=1))


def reading(action: Callable[[], T], url: str, answered: bool = True) -> T:
    """`action()`, which reads from `url`; over a network begun anew where that may help.

    Args:
        answered: the server has answered before, so a silence is waited for.

    Raises:
        UnreadableTable: it kept failing, or the server refuses.
    """
    if not is_remote(url):
        return action()
    try:
        return patiently(action, url, PATIENCE if answered else FIRST_PATIENCE, read_meaning)
    except StoreError as error:
        raise UnreadableTable(str(error)) from error


def passing(error: Exception, url: str) -> bool:
    """Whether a read over a network may succeed at another try."""
    return is_remote(url) and read_meaning(error, url) is None


def read_meaning(error: Exception, url: str) -> Exception | None:
    """The error to raise at once; None where another try may help."""
    if isinstance(error, PipelineError | FileNotFoundError | PermissionError):
        return error
    if isinstance(error, pa.ArrowException) and not isinstance(error, OSError):
        return error
    if type(error) is OSError and error.errno is None and error.__cause__ is None:
        return error  # Arrow's own: a damaged page stays damaged
    if url.startswith("s3://"):
        from .s3_errors import s3_meaning

        meaning = s3_meaning(error.__cause__ if isinstance(error.__cause__, Exception) else error, url)
        return None if meaning is error and "aiohttp" in type(error).__module__ else meaning
    return None if isinstance(error, OSError | TimeoutError) else error
