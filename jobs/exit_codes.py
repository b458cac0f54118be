"""What the command's exit status says, the same for every command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    SUCCESS = 0
    ERROR = 1
    USAGE = 2
    FAILED_ROWS = 3
    FAILURE_BUDGET_EXCEEDED = 4
    INTERRUPTED = 130
