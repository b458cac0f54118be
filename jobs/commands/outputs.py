"""Commands on an output that is there: `status`, `verify`, `report`, `export`."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import AsJson, Output, PricePerGpuHour


def status(output: Output, as_json: AsJson = False) -> None:
    """Say how far a run is: rows, images, failures by code."""
    from ..inspect import status_command

    raise typer.Exit(status_command(output, as_json))


def verify(
    output: Output,
    clean: Annotated[bool, typer.Option("--clean", help="Remove files that no manifest row names.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read everything back: every row once, sizes and hashes right, nothing else there."""
    from ..inspect import verify_command

    raise typer.Exit(verify_command(output, clean, as_json))


def report(output: Output, price_per_gpu_hour: PricePerGpuHour = None, as_json: AsJson = False) -> None:
    """Write OUTPUT/report.html: pictures, failures, speed, distributions, cost."""
    from ..report import report_command

    raise typer.Exit(report_command(output, price_per_gpu_hour, as_json))


def export(
    output: Output,
    destination: Annotated[str, typer.Argument(help="Folder or URL of the copy.")],
    to: Annotated[str, typer.Option("--to", help="imagefolder, webdataset or parquet.")],
    as_json: AsJson = False,
) -> None:
    """Copy a finished run into another output format; run again to go on after an interruption."""
    from ..export import export_command

    raise typer.Exit(export_command(output, destination, to, as_json))
