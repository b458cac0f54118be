"""Runs a slow job in a process of its own, for tests that kill it: drive.py PROMPTS OUTPUT SECONDS_PER_IMAGE."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from conftest import job  # noqa: E402
from generators import TestSource  # noqa: E402

from pipelines.batch import run_batch  # noqa: E402

if __name__ == "__main__":
    prompts, output, sleep = sys.argv[1:]
    asked = job(prompts, output, workers=2, batch_size=4, shard_rows=12)
    try:
        print(run_batch(asked, source=TestSource(sleep=float(sleep))))
    except KeyboardInterrupt:
        sys.exit(130)
