"""Finding the processes of a run, and ending exactly those."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path


def parents() -> dict[int, tuple[int, str]]:
    """Process -> its parent and its command's name, of all that are alive."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
                state, parent = rest.split()[:2]
                if state != "Z":
                    found[int(folder.name)] = int(parent), name
    return found


def below(root: int) -> list[int]:
    """The process and all that descend from it, ancestors first."""
    family = parents()
    found = [root] if root in family else []
    for process in found:
        found += [child for child, (parent, _) in family.items() if parent == process]
    return found


def raylet_of(driver: int) -> int | None:
    family = parents()
    return next((process for process in below(driver) if family.get(process, (0, ""))[1] == "raylet"), None)


def kill(*processes: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def end(cluster: subprocess.Popen[str]) -> None:
    """A `tests.faults.cluster` goes when its input ends; what is left of it after a while is killed."""
    assert cluster.stdin is not None
    cluster.stdin.close()
    try:
        cluster.wait(30)
    except subprocess.TimeoutExpired:
        kill(*below(cluster.pid))
        cluster.wait()


def workers(folder: Path) -> list[int]:
    """Living worker processes, which leave a file named by their number when the model is loaded."""
    family = parents()
    return sorted(int(path.name) for path in folder.iterdir() if int(path.name) in family)
