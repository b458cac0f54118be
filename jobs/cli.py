"""`imagegen`: a command parses, calls, reports and exits honestly.

Nothing heavy is imported before a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from .commands.captions import caption
from .commands.job_files import job
from .commands.making import generate, retry
from .commands.models import bench, calibrate, evaluate, train
from .commands.online import serve
from .commands.outputs import export, report, status, verify
from .commands.planning import plan
from .commands.prompts import expand
from .commands.schedules import schedule
from .console import say
from .exit_codes import ExitCode, exit_code_of, leave

app = typer.Typer(
    name="imagegen",
    help="Turn a table of prompts into a dataset of images: nothing lost, every image reproducible.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def print_version(wanted: bool) -> None:
    if wanted:
        try:
            print(f"imagegen {version('imagegen')}")
        except PackageNotFoundError:  # run where the packages lie, as on a cluster
            print("imagegen, not installed")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the command itself; without a docstring of its own the app's help stands."""


# In the order in which `--help` lists them.
for command in (
    generate,
    expand,
    plan,
    status,
    verify,
    report,
    export,
    retry,
    caption,
    serve,
    train,
    evaluate,
    calibrate,
    bench,
):
    app.command()(command)
app.add_typer(job, name="job")
app.add_typer(schedule, name="schedule")


def main() -> None:
    """Run the command; every expected error is one message and an exit code, never a traceback."""
    try:
        # With standalone_mode off, typer gives the exit status back instead of leaving.
        code = int(app(standalone_mode=False) or 0)
    except typer.Abort:
        code = ExitCode.INTERRUPTED
    except Exception as error:
        code = exit_code_of(error)
    if code == ExitCode.INTERRUPTED:
        say("imagegen: interrupted; finished shards are kept: run the same command again to go on")
    leave(code)
