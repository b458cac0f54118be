"""`imagegen schedule`: job files started when they are due."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .options import AsJson

State = Annotated[Path | None, typer.Option(help="Folder of the scheduler's state; default in your data folder.")]


class RunByDefault(TyperGroup):
    """`schedule FILE` means `schedule run FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


schedule = typer.Typer(
    cls=RunByDefault,
    help="Start job files when they are due, on this machine: `imagegen schedule FILES...`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@schedule.command()
def run(
    files: Annotated[list[Path], typer.Argument(metavar="FILES...", help="Job files with a `schedule`.")],
    state: State = None,
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Print one file's schedule as a KubeRay RayCronJob instead.")
    ] = False,
    cron_job: Annotated[
        bool, typer.Option("--cron-job", help="Or as a CronJob that creates a RayJob, for KubeRay without the gate.")
    ] = False,
    image: Annotated[str, typer.Option(help="Container image with imagegen, for these two.")] = "imagegen",
    namespace: Annotated[str, typer.Option(help="Of Kubernetes, in which the secrets are.")] = "imagegen",
    queue: Annotated[str | None, typer.Option(help="Kueue's LocalQueue for the runs, with --cron-job.")] = None,
    priority_class: Annotated[str | None, typer.Option(help="PriorityClass of the runs' pods.")] = None,
) -> None:
    """Start the files' runs when they are due, until Ctrl-C; start it again to go on after any interruption."""
    if kubernetes or cron_job:
        from ..kubernetes.exporting import print_kubernetes
        from ..kubernetes.resources import Target

        raise typer.Exit(print_kubernetes(files, Target(image, namespace, cron_job, queue, priority_class)))
    from ..schedule_command import schedule_command

    raise typer.Exit(schedule_command(files, state))


@schedule.command()
def history(
    state: State = None,
    job: Annotated[str | None, typer.Option(help="Only of the job of this name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what was due, what ran and how it ended."""
    from ..schedule_command import history_command

    raise typer.Exit(history_command(state, job, as_json))
