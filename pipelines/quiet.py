"""Ray's messages go to a log file instead of between the lines of a progress bar.

Ray speaks on three ways: Python loggers, the C++ core's standard error, and a thread of its own that prints.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOGGERS = ("ray", "ray.data", "ray.serve")


@contextmanager
def ray_quiet(log_file: str | None) -> Iterator[None]:
    """Args:
    log_file: local path, appended to; None to drop the messages.
    """
    path = Path(log_file or os.devnull)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", buffering=1) as file, loggers_to(file), printer_to(file), stderr_to(file):
        yield


@contextmanager
def loggers_to(file: Any) -> Iterator[None]:
    handler = logging.StreamHandler(file)
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(list(logger.handlers), logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    try:
        yield
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate


@contextmanager
def printer_to(file: Any) -> Iterator[None]:
    """Messages of the cluster to this driver, which Ray prints to standard output even with log_to_driver off."""
    from ray._private import worker

    def write(data: dict[str, Any], ignore_prefix: bool = False) -> None:
        file.writelines(f"({data.get('pid')}) {line}\n" for line in data.get("lines", ()))

    before = getattr(worker, "print_to_stdstream", None)
    if before is None:  # another version of Ray: then it prints
        yield
        return
    worker.print_to_stdstream = write
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextmanager
def stderr_to(file: Any) -> Iterator[None]:
    """File descriptor 2 goes to the file; Python's own `sys.stderr` keeps going where it went."""
    python = sys.stderr
    try:
        shared = python is not None and python.fileno() == 2
    except (OSError, ValueError):
        shared = False
    saved = os.dup(2)
    if shared:
        python.flush()
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding=python.encoding, errors="backslashreplace")
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        if shared:
            sys.stderr.close()
            sys.stderr = python
