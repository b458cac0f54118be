"""`imagegen expand`."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import AsJson


def expand(
    templates: Annotated[
        str, typer.Argument(help="Templates: a text, CSV, JSONL or Parquet file, a folder or a glob; - for input.")
    ],
    output: Annotated[str, typer.Argument(help="Path or URL of the Parquet file of prompts.")],
    max_rows: Annotated[int, typer.Option(help="At most so many prompts.")],
    per_template: Annotated[int | None, typer.Option(help="At most so many of each template.")] = None,
    mode: Annotated[
        str, typer.Option(help="combinatorial: every combination once; random: an even share for each template.")
    ] = "combinatorial",
    seed: Annotated[int, typer.Option(help="Of all random choices.")] = 0,
    wildcards: Annotated[str | None, typer.Option(help="Folder of the files that __name__ stands for.")] = None,
    template_column: Annotated[
        str | None, typer.Option(help="Column of the templates; default: template, prompt, text, ...")
    ] = None,
    input_format: Annotated[str | None, typer.Option(help="As of generate.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another output.")] = False,
    as_json: AsJson = False,
) -> None:
    """Expand prompt templates, in dynamicprompts' syntax, into a prompt table."""
    settings = dict(locals())
    settings.pop("as_json")
    from ..expand import expand_command

    raise typer.Exit(expand_command(settings, as_json))
