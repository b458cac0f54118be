"""What the command's exit status says, the same for every command."""

from __future__ import annotations

import os
import sys
from enum import IntEnum
from typing import NoReturn


class ExitCode(IntEnum):
    SUCCESS = 0
    ERROR = 1
    USAGE = 2
    FAILED_ROWS = 3
    FAILURE_BUDGET_EXCEEDED = 4
    INTERRUPTED = 130


def leave(status: int) -> NoReturn:
    """End the process here: nothing is left to do, and Arrow's threads now and then abort while Python tears down
    ("terminate called without an active exception"), which would turn a good run's status into 134."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
