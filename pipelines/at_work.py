"""A node says that shards are in the making on it, so that whoever stops it can wait: `infra/docker/leave-node`.

What Ray says in a process's title is no answer: a worker has two shards in hand, and the first to end resets the title.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


def lock_file() -> Path:
    """Held shared by each shard in the making; one for all workers of a user on a node."""
    return Path(tempfile.gettempdir(), f"imagegen-at-work-{os.getuid()}")


@contextmanager
def at_work() -> Iterator[None]:
    """The lock is held meanwhile; the kernel lets go of it where the process dies."""
    with ExitStack() as held:
        with suppress(OSError):  # a folder that takes no file: the node cannot be asked, its work goes on
            file = held.enter_context(lock_file().open("a"))
            fcntl.flock(file, fcntl.LOCK_SH)
        yield
