"""What each run of an output was: when, on what, how it ended. One small object a run, `.run/history/`.

It is written when the workers start and again at the end; a run that was killed has no end in it. What the run made
is in the manifests (`passes.py`).
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from .errors import PipelineError, Stopped
from .storage import Store

HISTORY = ".run/history"


@dataclass(slots=True)
class Run:
    """Args:
    run: its id, as in `Pass.run`.
    kind: generate or retry.
    begun, ended: Unix times; None while it goes on, and where it was killed.
    outcome: complete, stopped (as somebody asked), or the name of the error that ended it; None as `ended`.
    workers, gpus_per_worker, cpus_per_worker: that were asked for.
    price_per_gpu_hour: as the user gave it, in the user's currency.
    startup: seconds of the parts of the start.
    images, failed: made by this run, failures included; failures among them.
    """

    run: str
    kind: str
    begun: float
    workers: int
    gpus_per_worker: float
    cpus_per_worker: float
    host: str = field(default_factory=socket.gethostname)
    price_per_gpu_hour: float | None = None
    ended: float | None = None
    outcome: str | None = None
    startup: dict[str, float] = field(default_factory=dict)
    images: int = 0
    failed: int = 0

    @property
    def key(self) -> str:
        """In order of time."""
        return f"{HISTORY}/{datetime.fromtimestamp(self.begun, UTC):%Y%m%dT%H%M%S}-{self.run[:8]}.json"

    @property
    def gpus(self) -> float:
        return self.workers * self.gpus_per_worker

    def save(self, store: Store) -> None:
        store.put(self.key, json.dumps(asdict(self), indent=1, sort_keys=True).encode() + b"\n")


@contextmanager
def recorded(store: Store, run: Run) -> Iterator[Run]:
    """The run's record, written at both ends. What the body sets of it is kept."""
    run.save(store)
    try:
        yield run
        run.outcome = "complete"
    except BaseException as error:
        run.outcome = "stopped" if isinstance(error, KeyboardInterrupt | Stopped) else type(error).__name__
        raise
    finally:
        run.ended = time.time()
        try:
            run.save(store)
        except PipelineError:
            if run.outcome == "complete":
                raise


def read_history(store: Store) -> list[Run]:
    """All runs, the first one first; what is no record of this program is passed over."""
    found = []
    for each in list(store.list(HISTORY)):
        try:
            found.append(Run(**json.loads(store.read(each.key))))
        except (FileNotFoundError, ValueError, TypeError):
            continue
    return sorted(found, key=lambda run: run.begun)
