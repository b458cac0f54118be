"""`imagegen caption`: pictures in, alt texts out."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import (
    AsJson,
    BatchSize,
    CpusPerWorker,
    Device,
    GpusPerWorker,
    LogFile,
    Quiet,
    RayAddress,
    Workers,
    pool_of,
)


def caption(
    images: Annotated[
        str, typer.Argument(help="Output of generate, or a folder, a file or a quoted glob of pictures; or its URL.")
    ],
    output: Annotated[str, typer.Argument(help="Folder or URL of the captions.")],
    model: Annotated[
        str, typer.Option(help="imagen-small, an Imagen with a captioner, or a transformers image-to-text folder.")
    ] = "imagen-small",
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    cpus_per_worker: CpusPerWorker = None,
    batch_size: BatchSize = None,
    device: Device = None,
    ray_address: RayAddress = None,
    log_file: LogFile = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write an alt text for every picture. Run again to go on after any interruption."""
    pool = pool_of(locals())
    from ..caption import caption_command

    raise typer.Exit(caption_command(images, output, model, pool, log_file, as_json))
