"""LitServe, started and ended as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.online.ports import free_port

SERVER = Path(__file__).with_name("litserve_server.py")
STARTING = 120.0  # seconds


@dataclass(frozen=True, slots=True)
class LitServeSettings:
    """What LitServe leaves to its user, beside the number of processes.

    Args:
        batch: most requests of a batch.
        timeout: seconds for which a batch waits for more.
    """

    batch: int
    timeout: float


@contextmanager
def litserve_running(commands: Path, chosen: LitServeSettings, workers: int) -> Iterator[int]:
    """Its port, once every worker has loaded the model.

    Raises:
        RuntimeError: it ended, or did not come up in time.
    """
    port = free_port()
    ours = [sysconfig.get_path("purelib"), str(SERVER.parents[2])]
    arguments = [port, workers, chosen.batch, chosen.timeout, *ours]
    process = subprocess.Popen(
        [str(commands / "python"), "-P", str(SERVER), *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(process, port)
        yield port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it keeps nothing, and its workers are in its session
        process.wait()


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    ends = time.monotonic() + STARTING
    while time.monotonic() < ends and process.poll() is None:
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
            return
        time.sleep(0.2)
    raise RuntimeError(f"LitServe did not come up; see what `{' '.join(map(str, process.args))}` says")  # type: ignore[arg-type]
