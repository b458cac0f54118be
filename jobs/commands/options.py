"""Arguments that several commands take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

Output = Annotated[str, typer.Argument(help="Folder or URL of a run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes, each holding the model; default: what Ray finds.")]
GpusPerWorker = Annotated[float | None, typer.Option(help="GPUs of each worker; default 1 where there are GPUs.")]
CpusPerWorker = Annotated[float | None, typer.Option(help="CPUs of each worker; default 1.")]
BatchSize = Annotated[int | None, typer.Option(help="Images computed together; changes no image.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:1.")]
RayAddress = Annotated[str | None, typer.Option(help="Address of a Ray cluster; default: Ray on this machine.")]
LogFile = Annotated[str | None, typer.Option(help="Where Ray's messages go; default OUTPUT/.run/ray.log.")]
PricePerGpuHour = Annotated[float | None, typer.Option(help="In any currency, for the cost in the report.")]

POOL = ("workers", "gpus_per_worker", "cpus_per_worker", "batch_size", "device", "ray_address", "price_per_gpu_hour")


def pool_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a command's options that are settings of `pipelines.job.Pool`."""
    return {name: options[name] for name in POOL if name in options}
