"""Asks a run to finish what it began and to end: an object in its output, which every worker looks for before each
shard.

So a run is stopped from wherever its output can be written, with or without its cluster, and by its own process
on SIGTERM. The next run's first sweep removes what is left of a request.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .errors import PipelineError
from .status import running
from .storage import TEMPORARY, Store, open_store

STOP = f"{TEMPORARY}/stop"
EVERY = 1.0  # seconds between two looks


def request_stop(store: Store, ended: threading.Event, patience: float) -> bool:
    """Ask the run that holds the output until it has let go of it, or `ended` is set.

    A run that is only starting sweeps a request away with what else it finds; it is asked again.

    Args:
        patience: seconds in which a run must be seen to hold the output.

    Returns:
        Whether a run was seen and has ended.
    """
    seen, waited = None, 0.0
    while not ended.is_set():
        holder = running(store)
        if (seen is not None and holder != seen) or (holder is None and waited >= patience):
            break
        seen = holder
        if holder is not None and not store.exists(STOP):
            store.put(STOP, b"")
        waited += EVERY
        ended.wait(EVERY)
    return seen is not None


@contextmanager
def stopping_on_sigterm(output: str) -> Iterator[threading.Event]:
    """The first SIGTERM asks the run that is inside to finish its shards; the second interrupts it as Ctrl-C does.

    The event is set by the first. Only where this is the process's main thread, which alone hears of signals.
    """
    told, ended = threading.Event(), threading.Event()

    def ask() -> None:
        try:
            request_stop(open_store(output), ended, patience=600.0)
        except PipelineError:
            return  # the store's trouble is the run's to report

    def tell(number: int, frame: Any) -> None:
        if told.is_set():
            raise KeyboardInterrupt
        told.set()
        threading.Thread(target=ask, name="stop", daemon=True).start()

    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = signal.signal(signal.SIGTERM, tell)
    try:
        yield told
    finally:
        ended.set()
        signal.signal(signal.SIGTERM, before)
