"""`imagegen plan`: what a run would take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, BatchSize, Device


def plan(
    rows: Annotated[int, typer.Option(help="Rows of the prompt table.", min=1)],
    gpus: Annotated[int, typer.Option(help="GPUs, one a worker; without GPUs, CPU cores.", min=1)],
    model: Annotated[str, typer.Option(help="As in generate.")] = "imagen-small",
    size: Annotated[str | None, typer.Option(help="Size in pixels, such as 128x128.")] = None,
    num_inference_steps: Annotated[int | None, typer.Option(help="Steps, for models that sample in steps.")] = None,
    n: Annotated[int, typer.Option(help="Images a prompt, 1 to 100.")] = 1,
    image_format: Annotated[str, typer.Option(help="png, jpeg or webp.")] = "png",
    output_format: Annotated[str, typer.Option(help="imagefolder, webdataset or parquet.")] = "imagefolder",
    shard_rows: Annotated[int | None, typer.Option(help="Rows of a shard; default as generate chooses.")] = None,
    batch_size: BatchSize = None,
    device: Device = "auto",
    cpus_per_worker: Annotated[float, typer.Option(help="CPUs that encode beside each GPU.", min=0.01)] = 1.0,
    measurement: Annotated[Path | None, typer.Option(help="File that --save wrote; default: measure here.")] = None,
    from_run: Annotated[str | None, typer.Option(help="Folder or URL of a run whose speed is taken.")] = None,
    save: Annotated[Path | None, typer.Option(help="Keep what is measured in this file, by model and size.")] = None,
    object_rate: Annotated[
        float, typer.Option(help="Requests a second that the store takes; Amazon names 3,500 writes for a prefix.")
    ] = 3500.0,
    network_gbit: Annotated[float, typer.Option(help="Gbit/s from all nodes together to the store.")] = 10.0,
    price_per_gpu_hour: Annotated[float | None, typer.Option(help="In any currency.", min=0)] = None,
    price_per_1000_requests: Annotated[float | None, typer.Option(help="To the store.", min=0)] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate hours, objects, bytes and cost of a run, and name its bottleneck, from a measurement."""
    from pipelines.job import BatchJob, Pool

    from ..capacity import Question
    from ..planning import plan_command

    pool = Pool(gpus, cpus_per_worker=cpus_per_worker, batch_size=batch_size, device=device or "auto")
    job = BatchJob(
        "prompts",
        "run",
        model=model,
        size=size,
        num_inference_steps=num_inference_steps,
        n=n,
        image_format=image_format,
        output_format=output_format,
        shard_rows=shard_rows,
        pool=pool,
    )
    question = Question(
        rows,
        gpus,
        n,
        cpus_per_worker,
        output_format,
        shard_rows,
        object_rate,
        network_gbit,
        price_per_gpu_hour,
        price_per_1000_requests,
    )
    raise typer.Exit(plan_command(job, question, measurement, from_run, save, as_json))
