"""Arguments that several commands take."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any

import typer


def number_or_auto(text: str) -> int | str:
    """What it may be, the options' own class says."""
    return int(text) if text.isdecimal() else text


Output = Annotated[str, typer.Argument(help="Folder or URL of a run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes, each holding the model; default: what Ray finds.")]
GpusPerWorker = Annotated[float | None, typer.Option(help="GPUs of each worker; default 1 where there are GPUs.")]
CpusPerWorker = Annotated[float | None, typer.Option(help="CPUs of each worker; default 1.")]
BatchSize = Annotated[int | None, typer.Option(help="Images computed together; changes no image.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:1.")]
RayAddress = Annotated[str | None, typer.Option(help="Address of a Ray cluster; default: Ray on this machine.")]
Metadata = Annotated[
    str | None,
    typer.Option(help="In the pictures' files: none (default), provenance (made by a model), full (and all settings)."),
]
C2paCertificate = Annotated[
    str | None, typer.Option(help="PEM file of the certificate chain that signs the pictures' files (C2PA).")
]
C2paKey = Annotated[
    str | None, typer.Option(help="PEM file of its private key; both lie in the same place on every node.")
]
LogFile = Annotated[str | None, typer.Option(help="Where Ray's messages go; default OUTPUT/.run/ray.log.")]


def hush(quiet: bool) -> None:
    if quiet:
        logging.getLogger("imagegen.steps").setLevel(logging.WARNING)  # `pipelines.steps`, not imported for --help


Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", callback=hush, help="No steps and no progress; errors, warnings and results only."),
]
PricePerGpuHour = Annotated[float | None, typer.Option(help="In any currency, for the cost in the report.")]
MetricsPort = Annotated[
    int | None,
    typer.Option(help="Serve metrics for Prometheus on this port while it runs; 0: a free one.", min=0, max=65535),
]
MetricsHost = Annotated[str | None, typer.Option(help="Address to serve them on; default this machine's own.")]

# Of diffusers models.
Lora = Annotated[list[str] | None, typer.Option(help="LoRA adapter, PATH or PATH=WEIGHT; repeatable.")]
Scheduler = Annotated[str | None, typer.Option(help="Such as euler, dpm++ or a class of diffusers; default its own.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; default by the device.")]
MicroBatch = Annotated[
    int | None,
    typer.Option(
        parser=number_or_auto,
        metavar="INTEGER|auto",
        help="Rows that a network runs on, always; part of the plan. auto measures which is best, once.",
    ),
]
AttentionSlicing = Annotated[bool | None, typer.Option("--attention-slicing", help="Less memory, slower.")]
VaeTiling = Annotated[bool | None, typer.Option(help="Decode in tiles; default only above 4 megapixels.")]
Offload = Annotated[str | None, typer.Option(help="model or sequential: weights wait in the CPU's memory.")]
Compile = Annotated[bool | None, typer.Option("--compile", help="Compile the network's repeated blocks.")]
Fast = Annotated[bool | None, typer.Option("--fast", help="Fastest kernels; last bits may differ between runs.")]
LongPrompts = Annotated[str | None, typer.Option(help="refuse (default) or truncate what the text encoder cuts.")]
NoSafetyChecker = Annotated[bool | None, typer.Option("--no-safety-checker", help="Leave the model's checker out.")]
Watermark = Annotated[bool | None, typer.Option("--watermark", help="The pipeline's own invisible watermark.")]

POOL = ("workers", "gpus_per_worker", "cpus_per_worker", "batch_size", "device", "ray_address", "price_per_gpu_hour")


def pool_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a command's options that are settings of `pipelines.job.Pool`."""
    return {name: options[name] for name in POOL if name in options}
