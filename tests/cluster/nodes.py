"""A cluster that does what it is told, and a job on it in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults import processes

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds; a busy machine takes long to start a process
# A driver or node that has lost its head gives up after so many seconds; Ray's own default is 60.
ENVIRONMENT = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5", "OMP_NUM_THREADS": "1"}


class Nodes:
    """Attributes:
    address: of the head, to join.
    head, raylets: processes.
    folder: for temporary files of the nodes' workers.
    ids: Ray's names of the nodes, in the order of their raylets.
    """

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process, self.folder = process, folder
        found = self.answer()
        self.address: str = found["address"]
        self.head: int = found["head"]
        self.raylets: list[int] = found["raylets"]
        self.ids: list[str] = found["ids"]

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the cluster's process ended; its standard error says why"
        found: dict[str, Any] = json.loads(line)
        return found

    def tell(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self.answer()

    def join(self) -> None:
        joined = self.tell("join")
        self.raylets.append(joined["raylet"])
        self.ids.append(joined["id"])

    def workers(self, index: int, folder: Path) -> list[int]:
        """Processes of the node's workers, which leave files named by their numbers in the folder."""
        return sorted(set(processes.below(self.raylets[index])) & set(processes.workers(folder)))

    def kill(self, index: int) -> None:
        processes.kill(*processes.below(self.raylets[index]))

    def kill_head(self) -> None:
        """The head's every process: what holds the cluster together is gone."""
        ours = [process for process in processes.below(self.process.pid) if process != self.process.pid]
        others = {process for raylet in self.raylets for process in processes.below(raylet)}
        processes.kill(*(process for process in ours if process not in others))


@contextmanager
def nodes_running(nodes: int, gpus: int, folder: Path) -> Iterator[Nodes]:
    """A cluster of a head and so many nodes; its processes are gone afterwards."""
    with (folder / "cluster.err").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.cluster", str(nodes), str(gpus)],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT, "TMPDIR": str(folder), "RAY_TMPDIR": "/tmp"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            yield Nodes(process, folder)
        finally:
            processes.end(process)


def start_job(asked: dict[str, Any], folder: Path) -> subprocess.Popen[str]:
    with (folder / "driver.err").open("a") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.drive", json.dumps(asked)],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


def wait_until(what: str, condition: Callable[[], object], driver: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert driver.poll() is None, f"the job ended before {what}"
        assert time.monotonic() < end, f"{what}: not within {PATIENCE:.0f} s"
        time.sleep(0.1)
