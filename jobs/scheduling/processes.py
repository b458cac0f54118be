"""Each run is a process of its own, which outlives the scheduler: a scheduler that comes back takes it over.

A run holds a lock on a file for as long as it lives, which the kernel lets go whatever ends it, and leaves its exit
code in another. So a scheduler that did not start it can tell whether it lives and how it ended; no process id that
another process may have meanwhile is trusted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from .history import Run

LOST = -signal.SIGKILL  # exit code of a run that ended without a word


class Launcher(Protocol):
    """Starts runs and looks after them."""

    def start(self, run: Run, file: Path) -> None: ...

    def ended(self, run: Run) -> int | None:
        """Its exit code; None while it is at work."""
        ...

    def stop(self, run: Run) -> None:
        """Ask it to finish what it began."""
        ...


class Processes:
    """Runs of `imagegen job run`, with what they print in `logs/RUN_ID.log` of the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.own: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("logs", "runs"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def start(self, run: Run, file: Path) -> None:
        for old in (self.outcome(run), self.process_id(run)):
            old.unlink(missing_ok=True)
        command = [sys.executable, "-P", "-m", "jobs.scheduling.child", str(self.folder / "runs"), str(file)]
        with self.log(run).open("ab") as log:
            # A session of its own, so that Ctrl-C at the scheduler's terminal does not reach it as well.
            self.own[run.run_id] = subprocess.Popen(
                [*command, run.run_id, run.date],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
            )

    def ended(self, run: Run) -> int | None:
        process = self.own.get(run.run_id)
        if process is not None:
            code = process.poll()
            if code is not None:
                del self.own[run.run_id]
            return code
        if holds_lock(self.folder / "runs", run.run_id):
            return None
        try:
            return int(self.outcome(run).read_text())
        except (FileNotFoundError, ValueError):
            return LOST

    def stop(self, run: Run) -> None:
        process = self.own.get(run.run_id)
        if process is not None:
            process.terminate()
        else:  # taken over: it wrote its process id while it had the lock
            try:
                os.kill(int(self.process_id(run).read_text()), signal.SIGTERM)
            except (FileNotFoundError, ValueError, ProcessLookupError):
                return

    def outcome(self, run: Run) -> Path:
        return self.folder / "runs" / f"{run.run_id}.exit"

    def process_id(self, run: Run) -> Path:
        return self.folder / "runs" / f"{run.run_id}.pid"

    def log(self, run: Run) -> Path:
        return self.folder / "logs" / f"{run.run_id}.log"


def run_lock(folder: Path, run_id: str) -> FileLock:
    return FileLock(folder / f"{run_id}.lock", timeout=0)


def holds_lock(folder: Path, run_id: str) -> bool:
    try:
        with run_lock(folder, run_id):
            return False
    except Timeout:
        return True
