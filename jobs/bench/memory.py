"""The driver's peak memory on a small and on a large table: it must not grow with the rows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .tables import write_prompts

SMALL, LARGE = 10_000, 1_000_000
SECONDS = 60.0


def measure_memory() -> dict[str, Any]:
    """Peak resident memory of `imagegen generate`'s own process, from start to end or to the 60th second.

    By then a driver has planned every row, listed what is done, handed all shards to Ray and followed the
    first of them; what remains repeats.
    """
    peaks = {rows: driver_peak(rows) for rows in (SMALL, LARGE)}
    return {
        "peak_megabytes": {str(rows): round(peak / 1e6, 1) for rows, peak in peaks.items()},
        "ratio": round(peaks[LARGE] / peaks[SMALL], 3),
        "seconds_observed_at_most": SECONDS,
    }


def driver_peak(rows: int) -> int:
    """Bytes."""
    with tempfile.TemporaryDirectory(prefix="imagegen-bench-") as folder:
        table = write_prompts(Path(folder) / "prompts.parquet", rows)
        command = [sys.executable, "-c", "from jobs.cli import main; main()", "generate", str(table), f"{folder}/out"]
        options = ["--model", "flat-colour", "--size", "16x16", "--shard-rows", "1000"]
        with subprocess.Popen(
            [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as driver:
            deadline = time.monotonic() + SECONDS
            peak = 0
            while driver.poll() is None and time.monotonic() < deadline:
                peak = max(peak, high_water_mark(driver.pid))
                time.sleep(0.2)
            if driver.poll() is None:
                os.kill(driver.pid, signal.SIGINT)
                driver.wait(60)
        return peak


def high_water_mark(pid: int) -> int:
    """Peak resident memory so far, in bytes, as Linux tells it; 0 once the process has gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0
