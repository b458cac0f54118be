"""`imagegen job`: what is done with a job file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson

job = typer.Typer(
    help="Run a job file here or on a Ray cluster, check it, and look after what runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

JobPath = Annotated[Path, typer.Argument(metavar="FILE", help="YAML file, such as jobs/specs/nightly.yaml.")]
RunId = Annotated[str | None, typer.Option(help="What {run_id} stands for; give a run's own to go on with it.")]
Date = Annotated[str | None, typer.Option(help="What {date} stands for, like 2026-11-25; default today.")]


@job.command()
def run(
    file: JobPath,
    run_id: RunId = None,
    date: Date = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, its time and bytes; write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the job here, on this machine or the cluster that the file names; run again to go on."""
    from ..job_command import run_file

    raise typer.Exit(run_file(file, run_id, date, dry_run, as_json))


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
