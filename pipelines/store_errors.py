"""What an error of a disk or an object store means: another try, one object lost, or the end of the job."""

from __future__ import annotations

import errno
import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from .errors import StoreDenied, StoreError, StoreFull, StoreUnavailable

T = TypeVar("T")
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
PAUSES = (0.1, 0.4, 1.6, 4.0)  # seconds before the second, third, ... try on a disk
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 8.0  # seconds before tries on a network, doubling from one to the other
PATIENCE = 180.0  # seconds for which a server that has answered before is waited for
FIRST_PATIENCE = 8.0  # for one that never has: its address is rather wrong


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
    """`action()` on a disk, tried again after pauses where another try may help.

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


def patiently(
    action: Callable[[], T], url: str, patience: float, meaning: Callable[[Exception, str], Exception | None]
) -> T:
    """`action()` over a network, tried again after growing pauses until `patience` seconds have passed.

    The pauses are random within a factor of three, so that workers that were refused together do not come back
    together.

    Args:
        meaning: the error to be raised at once, or None where another try may help.

    Raises:
        StoreUnavailable: it kept failing.
    """
    end = time.monotonic() + patience
    for attempt in itertools.count():
        try:
            return action()
        except Exception as error:
            known = meaning(error, url)
            if known is error:
                raise
            if known is not None:
                raise known from error
            pause = random.uniform(0.5, 1.5) * min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
            if time.monotonic() + pause > end:
                raise StoreUnavailable(
                    f"{url}: no success within {patience:.0f} s ({type(error).__name__}: {error}); check the network "
                    "and the endpoint (AWS_ENDPOINT_URL), then run the same command again"
                ) from error
            time.sleep(pause)
    raise AssertionError("unreachable")


def remote_meaning(error: Exception, url: str) -> Exception | None:
    """For any store that fsspec knows."""
    if isinstance(error, FileExistsError | FileNotFoundError | StoreError):
        return error
    return classify(error, url)
