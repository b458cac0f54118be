"""The process of one scheduled run: python -m jobs.scheduling.child FOLDER FILE RUN_ID DATE."""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import Timeout

from ..console import say
from ..exit_codes import ExitCode, exit_code_of, leave
from .processes import run_lock


def main() -> None:
    # While it starts and after its end; in between, `stopping_on_sigterm` finishes the shards.
    signal.signal(signal.SIGTERM, interrupted)
    folder, file, run_id, date = sys.argv[1:]
    try:
        with run_lock(Path(folder), run_id):
            (Path(folder) / f"{run_id}.pid").write_text(str(os.getpid()))
            code = run(Path(file), run_id, date)
            part = Path(folder) / f"{run_id}.exit.part"
            part.write_text(str(int(code)))
            part.replace(Path(folder) / f"{run_id}.exit")
    except Timeout:
        say(f"imagegen: {run_id} is at work already")
        code = ExitCode.ERROR
    leave(code)


def run(file: Path, run_id: str, date: str) -> int:
    say(f"imagegen: {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} starting {run_id} from {file}")
    try:
        from ..job_command import run_file

        return run_file(file, run_id, date, dry_run=False, as_json=False)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:
        return exit_code_of(error)


def interrupted(number: int, frame: Any) -> None:
    """At once: an exception could be lost in whatever is being imported, and nothing here may not be killed."""
    os._exit(ExitCode.INTERRUPTED)


if __name__ == "__main__":
    main()
