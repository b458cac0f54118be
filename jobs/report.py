"""From an error to one message on standard error and an exit code."""

from __future__ import annotations

import json
import sys
from typing import Any

from .exit_codes import ExitCode


def say(text: str) -> None:
    print(text, file=sys.stderr)


def print_json(value: Any) -> None:
    print(json.dumps(value, default=str))


def expected(error: Exception) -> ExitCode | None:
    """With which status an error that a user may meet ends the command; None for a bug."""
    from typer import TyperException

    from imagen_model.catalog import ModelNotFound
    from imagen_model.generation import InvalidRequest
    from pipelines.errors import PipelineError, SetupError, Stopped, TooManyFailures

    match error:
        case TooManyFailures():
            return ExitCode.FAILURE_BUDGET_EXCEEDED
        case Stopped():
            return ExitCode.INTERRUPTED
        case TyperException() | SetupError() | ModelNotFound() | InvalidRequest():
            return ExitCode.USAGE
        case PipelineError():
            return ExitCode.ERROR
    return None


def status_of(error: Exception) -> ExitCode:
    """The same, where a bug is an error as any other."""
    return expected(error) or ExitCode.ERROR


def exit_code_of(error: Exception) -> int:
    """Print an expected error and say with which status to exit; anything else is a bug and raised."""
    status = expected(error)
    if status is None:
        raise error
    say(f"imagegen: {error.format_message() if hasattr(error, 'format_message') else error}")
    return status
