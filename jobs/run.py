"""One run of a job: checked, told of, followed, and finished with a summary. `generate` and `job run` are this."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

from pipelines.batch import run_batch
from pipelines.errors import TooManyFailures
from pipelines.progress import Progress, Summary
from pipelines.reporting import PAGE
from pipelines.running import Follow
from pipelines.stopping import stopping_on_sigterm
from pipelines.storage import open_store

from .console import print_json, say
from .display import describe_summary
from .exit_codes import ExitCode, status_of
from .job_files.reading import LoadedJob
from .job_files.references import RunContext
from .job_files.runs import check_here
from .job_files.settings import JobFile
from .metrics import serving
from .notification import Notifier
from .progress_line import Line, ProgressLine

STATES = {
    ExitCode.SUCCESS: "succeeded",
    ExitCode.FAILED_ROWS: "failed_rows",
    ExitCode.FAILURE_BUDGET_EXCEEDED: "failure_budget_exceeded",
    ExitCode.INTERRUPTED: "stopped",
}


def run_command(job: LoadedJob, context: RunContext, dry_run: bool, as_json: bool) -> int:
    """Raises whatever stops the run; those who are to be notified have been by then."""
    settings = job.resolved(context)
    with warnings.catch_warnings():
        warnings.showwarning = show_warning
        if job.path is not None:
            check_here(job, settings)
        if dry_run:
            from .estimate import dry_run as estimate

            with Line():
                text = estimate(settings.batch_job())
            print(text)
            return ExitCode.SUCCESS
        about = {"job": job.name, "run_id": context.run_id, "date": context.date, "output": settings.output}
        with Notifier(settings.notification, about) as notifier:
            summary = tell_of_run(job, settings, context, notifier)
    return finish(summary, settings.report, as_json)


def tell_of_run(job: LoadedJob, settings: JobFile, context: RunContext, notifier: Notifier) -> Summary:
    """The run, with a message at its start and one at its end, however it ends."""
    last: list[Progress] = []
    notifier.tell("start")
    try:
        summary = run_followed(job, settings, context, last)
    except BaseException as error:
        status = status_of(error) if isinstance(error, Exception) else ExitCode.INTERRUPTED
        progress = last[0].counts() if last else None
        end: dict[str, Any] = {
            "state": STATES.get(status, "error"),
            "exit_code": int(status),
            "error": str(error) or type(error).__name__,
            "progress": progress,
        }
        if isinstance(error, TooManyFailures):
            notifier.tell("failure_budget", error=str(error), progress=progress)
        notifier.tell("end", **end)
        raise
    status = ExitCode.FAILED_ROWS if summary.failed else ExitCode.SUCCESS
    notifier.tell("end", state=STATES[status], exit_code=int(status), summary=dataclasses.asdict(summary))
    return summary


def run_followed(job: LoadedJob, settings: JobFile, context: RunContext, last: list[Progress]) -> Summary:
    """Args:
    last: whose only item becomes the latest progress.
    """

    def keep(progress: Progress) -> None:
        last[:] = [progress]

    about = {"kind": "generate", "name": job.name, "run_id": context.run_id, "output": settings.output}
    with (
        serving(settings.metrics_port, settings.metrics_host, about) as metrics,
        stopping_on_sigterm(settings.output),
        ProgressLine() as show,
    ):
        summary = run_batch(settings.batch_job(), followed_by(keep, show, metrics))
        if settings.contact_sheet is not None and summary.complete:
            from pipelines.contact_sheet import write_contact_sheet

            sheet = settings.contact_sheet
            written = write_contact_sheet(settings.output, sheet.title or job.name, sheet.columns, sheet.rows)
            say(f"imagegen: the contact sheet is {written}")
    return summary


def followed_by(*each: Follow) -> Follow:
    def follow(progress: Progress) -> None:
        for one in each:
            one(progress)

    return follow


def finish(summary: Summary, report: bool, as_json: bool) -> int:
    if as_json:
        print_json(dataclasses.asdict(summary))
    else:
        print(describe_summary(summary))
        if report and open_store(summary.output).exists(PAGE):  # where nothing was left to do, none is written
            print(f"report: {summary.output.rstrip('/')}/{PAGE}")
    if not summary.complete:  # a retry's, of a run that is not finished
        return ExitCode.UNFINISHED
    return ExitCode.FAILED_ROWS if summary.failed else ExitCode.SUCCESS


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"imagegen: {message}")
