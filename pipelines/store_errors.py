"""What an error of a disk or an object store means: another try, one object lost, or the end of the job."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from .errors import StoreDenied, StoreError, StoreFull, StoreUnavailable

T = TypeVar("T")
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
PAUSES = (0.1, 0.4, 1.6, 4.0)  # seconds before the second, third, ... try


def classify(error: Exception, url: str) -> StoreError | None:
    """The whole-store error that `error` means, or None where another try may help."""
    number = getattr(error, "errno", None)
    if number in FULL:
        return StoreFull(f"no space left at {url} ({error}); free some space, then run the same command again")
    if number in DENIED or isinstance(error, PermissionError):
        return StoreDenied(f"no permission to write to {url} ({error}); grant it or give another output")
    if number in {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG}:
        return StoreDenied(f"{url} cannot be used as an output folder ({error}); give another output")
    return None


@contextmanager
def translated(url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise classify(error, url) or StoreUnavailable(f"{url}: {error}") from error


def with_retries(action: Callable[[], T], url: str, missing_is_final: bool = True) -> T:
    """`action()`, tried again after pauses where another try may help.

    Args:
        missing_is_final: pass FileNotFoundError on at once. Writers turn it off: there it means that
            another run swept the temporary folder away under them.

    Raises:
        StoreError: of the kind that the last error means.
    """
    for pause in (*PAUSES, None):
        try:
            return action()
        except Exception as error:
            if isinstance(error, FileExistsError) or (isinstance(error, FileNotFoundError) and missing_is_final):
                raise
            whole = classify(error, url)
            if whole is not None:
                raise whole from error
            if pause is None:
                raise StoreUnavailable(f"{url}: {type(error).__name__}: {error}") from error
            time.sleep(pause)
    raise AssertionError("unreachable")
