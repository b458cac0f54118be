"""kill -9 of the driver at random moments, and Ctrl-C: every row once, no other files, the bytes of a quiet run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import entries, images, job, own_files

from pipelines.lease import LEASE
from pipelines.progress import Summary
from pipelines.verify import verify
from tests.heap import has_large_pages

ROWS, SHARD = 300, 12
UNUSED = ("log_monitor.py", "dashboard.py", "monitor.py")  # of Ray
DRIVE = Path(__file__).with_name("drive.py")


def finished(out: Path) -> int:
    return len(list((out / "manifest").glob("*.parquet"))) if (out / "manifest").exists() else 0


def drive(prompts: str, out: Path, sleep: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(DRIVE), prompts, str(out), str(sleep)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        # A suite that a shell runs in the background hands down an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def children(process: int) -> str:
    """The commands of the processes that its main thread started."""
    numbers = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return " ".join(Path(f"/proc/{number}/cmdline").read_bytes().decode() for number in numbers)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 90) -> None:
    end = time.time() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.time() < end, "too slow"
        time.sleep(0.02)


@pytest.mark.parametrize("seed", [2026])
def test_killed_drivers(table: Callable[..., str], inline: Callable[..., Summary], tmp_path: Path, seed: int) -> None:
    prompts = table({"prompt": [f"picture {index}" for index in range(ROWS)]})
    quiet, out = tmp_path / "quiet", tmp_path / "out"
    inline(job(prompts, quiet, workers=2, batch_size=4, shard_rows=SHARD))
    moments = random.Random(seed)
    for sign in (signal.SIGINT, signal.SIGKILL):
        process = drive(prompts, out, 0.02)
        goal = finished(out) + moments.randint(1, 5)
        wait_for(lambda goal=goal: finished(out) >= goal, process)  # type: ignore[misc]
        assert has_large_pages(int(entries(out)[-1]["worker"].rpartition(":")[2])), "of a worker at work"
        started = children(process.pid)
        assert "raylet" in started and not [name for name in UNUSED if name in started]
        time.sleep(moments.random() * 0.3)
        process.send_signal(sign)
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == (130 if sign == signal.SIGINT else -sign), stderr.decode()
        assert (out / LEASE).exists() == (sign == signal.SIGKILL)
        assert finished(out) < ROWS // SHARD
    process = drive(prompts, out, 0.0)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr.decode()
    assert b"complete=True" in stdout
    assert stdout.count(b"\n") == 1 and stderr == b"", "Ray is to be silent"
    assert images(out) == images(quiet) and len(images(out)) == ROWS
    assert [entry["row"] for entry in entries(out)] == list(range(ROWS))
    assert own_files(out) == own_files(quiet)
    assert not list((out / ".run/attempts").iterdir()) and not (out / ".run/tmp").exists()
    report = verify(str(out))
    assert report.ok, report.problems
    assert pq.read_table(out / "images/00000/metadata.parquet").num_rows == SHARD
