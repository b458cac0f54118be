"""The report at the end of a run, also of one that stops: whoever comes in the morning finds a page either way."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import OutputLocked, PipelineError
from .steps import step

PAGE = "report.html"
FOLDER = ".report/"  # what the page loads


@contextmanager
def reporting(output: str, wanted: bool) -> Iterator[None]:
    """Write the report when the body ends or stops. What goes wrong with it is a warning: the dataset is what counts.

    Args:
        output: folder or URL of a run with a plan.
    """
    try:
        yield
    except OutputLocked:
        raise  # the output is another run's, and so is its report
    except (PipelineError, KeyboardInterrupt):
        if wanted:
            try_report(output)
        raise
    if wanted:
        try_report(output)


def try_report(output: str) -> None:
    step(f"writing the report {PAGE}")
    from .report import write_report

    try:
        write_report(output)
    except (PipelineError, OSError) as error:
        warnings.warn(f"the report was not written ({error}); `imagegen report {output}` tries again", stacklevel=2)
