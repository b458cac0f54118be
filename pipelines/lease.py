"""One run at a time: an object made by exclusive create, renewed while the run lives, taken over when it died.

Two runs at once would write the same bytes under the same names; the lease saves the machine's time. A taker
writes its own token over a dead holder's, waits a moment and looks again: of several takers the last writer is
the one whose token all of them find. Whoever finds another's token in its place has lost it, at the latest at
its next renewal.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from .errors import OutputLocked, PipelineError
from .storage import Store

LEASE = ".run/lease.json"
HEARTBEAT = 10.0  # seconds between renewals
STALE = 60.0  # seconds without one after which the holder counts as dead
SETTLE = 1.0  # seconds between a taker's write and its second look


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease; `heartbeat` is Unix time, `boot` tells this boot of the machine from another."""

    token: str
    host: str
    pid: int
    boot: str
    heartbeat: float

    def dead(self, at: float) -> bool:
        if at - self.heartbeat > STALE:
            return True
        if self.host != socket.gethostname():
            return False
        return self.boot != boot_id() or not alive(self.pid)


def holder_of(store: Store) -> Holder | None:
    """Who holds the output's lease, dead or alive; None for nobody, or for something that is no lease."""
    try:
        return Holder(**json.loads(store.read(LEASE)))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def living_holder(store: Store) -> Holder | None:
    """Who is writing to the output now."""
    holder = holder_of(store)
    return None if holder is None or holder.dead(time.time()) else holder


def boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    try:
        # A killed process whose parent has not asked after it is still listed, as a zombie.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


class Lease:
    """A context in which this process alone writes to the output.

    Attributes:
        lost: another run took the lease over; this one must stop.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.token = uuid.uuid4().hex
        self.lost = False
        self.released = threading.Event()
        self.thread = threading.Thread(target=self.renew, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        """Raises:
        OutputLocked: a living run holds it.
        """
        if not (self.store.create(LEASE, self.content()) or self.is_mine()):
            self.take_over()
        self.thread.start()
        return self

    def take_over(self) -> None:
        holder = self.holder()
        if holder is None or holder.dead(time.time()):
            self.store.put(LEASE, self.content())
            time.sleep(SETTLE)
            holder = self.holder()
        if holder is not None and holder.token != self.token:
            raise OutputLocked(
                f"{self.store.url} is being written by process {holder.pid} on {holder.host} "
                f"(last sign of life {max(0.0, time.time() - holder.heartbeat):.0f} s ago); wait for it, stop it, "
                f"or give another output"
            )

    def is_mine(self) -> bool:
        holder = self.holder()
        return holder is not None and holder.token == self.token

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self.thread.join()
        try:
            if self.is_mine():
                self.store.delete(LEASE)
        except PipelineError:
            if error is None:
                raise

    def content(self) -> bytes:
        holder = Holder(self.token, socket.gethostname(), os.getpid(), boot_id(), time.time())
        return json.dumps(asdict(holder), sort_keys=True).encode()

    def holder(self) -> Holder | None:
        return holder_of(self.store)

    def renew(self) -> None:
        while not self.released.wait(HEARTBEAT):
            try:
                holder = self.holder()
                if holder is not None and holder.token != self.token:
                    self.lost = True
                    return
                self.store.put(LEASE, self.content())
            except PipelineError:
                continue  # the store's trouble is the job's to report; the lease has 60 s
