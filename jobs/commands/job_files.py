"""`imagegen job`: what is done with a job file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..exit_codes import ExitCode
from .options import AsJson, MetricsHost, MetricsPort, Quiet

job = typer.Typer(
    help="Run a job file here or on a Ray cluster, check it, and look after what runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

JobPath = Annotated[Path, typer.Argument(metavar="FILE", help="YAML file, such as jobs/specs/nightly.yaml.")]
RunId = Annotated[str | None, typer.Option(help="What {run_id} stands for; give a run's own to go on with it.")]
Date = Annotated[
    str | None,
    typer.Option(
        help="What {date} stands for, like 2026-11-25, or the run's moment, like 2026-11-25T01:30:00Z, from which "
        "its id is made too; default now."
    ),
]


@job.command()
def run(
    file: JobPath,
    run_id: RunId = None,
    date: Date = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, its time and bytes; write nothing.")
    ] = False,
    accept_failed_rows: Annotated[
        bool, typer.Option("--accept-failed-rows", help="Exit with 0 though rows failed; the manifest names them.")
    ] = False,
    fail_only_to_retry: Annotated[
        bool,
        typer.Option(
            "--fail-only-to-retry",
            help="For what tries again on any other exit status than 0, as KubeRay does with a new cluster: end with "
            "0 also for failed rows and for errors that would come again (a wrong file, an output being written).",
        ),
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Run the job here, on this machine or the cluster that the file names; run again to go on."""
    from ..job_command import run_file, run_for_retries

    flags = {"metrics_port": metrics_port, "metrics_host": metrics_host}
    if fail_only_to_retry:
        raise typer.Exit(run_for_retries(file, run_id, date, dry_run, as_json, flags))
    code = run_file(file, run_id, date, dry_run, as_json, flags)
    raise typer.Exit(ExitCode.SUCCESS if accept_failed_rows and code == ExitCode.FAILED_ROWS else code)


@job.command()
def check(files: Annotated[list[Path], typer.Argument(metavar="FILES...", help="Job files.")]) -> None:
    """Tell every mistake of the files with its line; run nothing."""
    from ..job_command import check_files

    raise typer.Exit(check_files(files))


@job.command(name="next")
def next_times(
    file: JobPath,
    count: Annotated[int, typer.Option("-n", "--count", help="How many.", min=1, max=1000)] = 5,
    as_json: AsJson = False,
) -> None:
    """Print the coming times of the file's schedule, in its time zone."""
    from ..job_command import print_next

    raise typer.Exit(print_next(file, count, as_json))


Address = Annotated[
    str | None, typer.Option(help="Of the cluster's dashboard; default RAY_API_SERVER_ADDRESS or this machine's.")
]
SubmissionId = Annotated[str, typer.Argument(metavar="ID", help="As `submit` and `list` print it.")]


@job.command()
def submit(
    file: JobPath,
    address: Address = None,
    run_id: RunId = None,
    date: Date = None,
    env: Annotated[
        list[str] | None, typer.Option(help="Variable to take along, not secret there; repeatable.", metavar="NAME")
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Also bring the versions of all packages, by pip on each node.")
    ] = False,
    any_versions: Annotated[
        bool, typer.Option("--any-versions", help="Take the cluster's versions; pictures may differ.")
    ] = False,
) -> None:
    """Run the job on a Ray cluster, with the code that this command is; print its id and return."""
    from ..cluster_command import submit_file

    raise typer.Exit(submit_file(file, address, run_id, date, env or [], install, any_versions))


@job.command(name="list")
def list_submitted(address: Address = None, as_json: AsJson = False) -> None:
    """Print the cluster's jobs of imagegen and how they stand."""
    from ..cluster_command import list_jobs

    raise typer.Exit(list_jobs(address, as_json))


@job.command()
def logs(
    submission: SubmissionId,
    address: Address = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the job is over.")] = False,
) -> None:
    """Print what a job printed."""
    from ..cluster_command import print_logs

    raise typer.Exit(print_logs(submission, address, follow))


@job.command()
def stop(
    submission: SubmissionId,
    address: Address = None,
    now: Annotated[bool, typer.Option("--now", help="Do not wait for the shards in flight.")] = False,
) -> None:
    """Let a job finish the shards that it began, and end; a later `submit` of the file goes on."""
    from ..cluster_command import stop_job

    raise typer.Exit(stop_job(submission, address, now))
