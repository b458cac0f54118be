"""The fault campaign: python -m tests.faults --seeds 55 --report report.json

It needs the gateway (infra/s3/gateway.sh start), whose `env` it reads by itself, and root for the full disk.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.gateway import GATEWAY

from .campaign import Run, campaign, table
from .kinds import KINDS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=11, help="number of faulted runs; run i has seed FIRST + i")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--layouts", nargs="+", default=["imagefolder", "webdataset", "parquet"])
    parser.add_argument("--report", type=Path, help="write the counts and every run as JSON")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds)
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end with the gateway and the drivers
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="imagegen-s3-") as folder:
        gateway = Path(folder) / "gateway"
        started = subprocess.run([str(GATEWAY), "start", str(gateway)], check=True, capture_output=True, text=True)
        os.environ |= dict(line.removeprefix("export ").split("=", 1) for line in started.stdout.splitlines())
        try:
            for run in campaign(gateway, seeds, asked.kinds, asked.layouts):
                runs.append(run)
                verdict = "good" if run.good else f"BAD {run.stuck} {run.verdict}"
                print(
                    f"{run.seed:>4} {run.kind:<16} {run.layout:<11} {run.seconds:>6.1f} s  {verdict}  {run.log}",
                    flush=True,
                )
                if asked.report:
                    asked.report.write_text(json.dumps([dataclasses.asdict(run) for run in runs], indent=1))
        finally:
            subprocess.run([str(GATEWAY), "stop", str(gateway)], check=True)
    print(table(runs))
    return 0 if all(run.good for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
