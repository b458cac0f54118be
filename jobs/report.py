"""From an error to one message on standard error and an exit code."""

from __future__ import annotations

import json
import sys
from typing import Any

from .exit_codes import ExitCode


def say(text: str) -> None:
    print(text, file=sys.stderr)


def print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, default=str))


def exit_code_of(error: Exception) -> int:
    """Print an expected error and say with which status to exit; anything else is a bug and raised."""
    from typer import TyperException

    from imagen_model.catalog import ModelNotFound
    from imagen_model.generation import InvalidRequest
    from pipelines.errors import PipelineError, SetupError, TooManyFailures

    if isinstance(error, TyperException):
        say(f"imagegen: {error.format_message()}")
        return ExitCode.USAGE
    if isinstance(error, TooManyFailures):
        say(f"imagegen: {error}")
        return ExitCode.FAILURE_BUDGET_EXCEEDED
    if isinstance(error, SetupError | ModelNotFound | InvalidRequest):
        say(f"imagegen: {error}")
        return ExitCode.USAGE
    if isinstance(error, PipelineError):
        say(f"imagegen: {error}")
        return ExitCode.ERROR
    raise error
