"""What the command's exit status says, the same for every command, and which error ends it with which."""

from __future__ import annotations

import os
import sys
from enum import IntEnum
from typing import NoReturn

from .console import say


class ExitCode(IntEnum):
    SUCCESS = 0
    ERROR = 1
    USAGE = 2
    FAILED_ROWS = 3
    FAILURE_BUDGET_EXCEEDED = 4
    UNFINISHED = 5
    INTERRUPTED = 130


def leave(status: int) -> NoReturn:
    """End the process here: nothing is left to do, and Arrow's threads now and then abort while Python tears down
    ("terminate called without an active exception"), which would turn a good run's status into 134."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


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


def retry_helps(error: Exception) -> bool:
    """Whether the same command may end better when it is run again soon, on another machine perhaps."""
    from pipelines.errors import StoreDenied, TooManyFailures, WeightsError

    from .job_files.reading import InvalidJobFile

    if isinstance(error, TooManyFailures | StoreDenied):
        return False
    if isinstance(error, InvalidJobFile):  # a model that is not there looks like a hub that does not answer
        return all(mistake.place == ("model",) for mistake in error.mistakes)
    return isinstance(error, WeightsError) or expected(error) is not ExitCode.USAGE


def exit_code_of(error: Exception) -> int:
    """Print an expected error and say with which status to exit; anything else is a bug and raised."""
    status = expected(error)
    if status is None:
        raise error
    say(f"imagegen: {error.format_message() if hasattr(error, 'format_message') else error}")
    return status
