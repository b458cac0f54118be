"""`imagegen train`, `evaluate` and `bench`: the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    AsJson,
    BatchSize,
    Compile,
    Device,
    Dtype,
    GpusPerWorker,
    Offload,
    RayAddress,
    pool_of,
)


def train(
    jobs: Annotated[
        list[Path],
        typer.Argument(
            metavar="JOB...",
            help="YAML files, such as those in jobs/specs/training; several are trained one after another.",
        ),
    ],
    workers: Annotated[int, typer.Option(min=1, help="Processes that share every step, through Ray Train.")] = 1,
    gpu: Annotated[bool, typer.Option("--gpu", help="Each worker has a GPU of its own.")] = False,
    ray_address: RayAddress = None,
) -> None:
    """Train an Imagen on a drawn world or on pictures of yours; run again to go on from the last checkpoint."""
    from ..train import train_command

    raise typer.Exit(train_command(jobs, workers, gpu, ray_address))


def evaluate(
    model: Annotated[str, typer.Argument(help="Bundled model, folder, hub id or URL.")] = "imagen-small",
    samples: Annotated[int, typer.Option(help="Pictures a category and split.", min=1)] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the questions and pictures.", min=0)] = 0,
    batch_size: BatchSize = None,
    device: Device = "auto",
    world: Annotated[
        str | None,
        typer.Option(
            help="illustrations, bilingual_illustrations or drawn_world; default what the model was trained on."
        ),
    ] = None,
    grid: Annotated[Path | None, typer.Option(help="Write a PNG grid of the pictures, wrong ones framed red.")] = None,
    clip: Annotated[
        Path | None, typer.Option(help="Folder of a transformers CLIP: report its score of pictures and prompts too.")
    ] = None,
    inception: Annotated[
        Path | None,
        typer.Option(help="FID's Inception weights (.pth or .safetensors), or their folder: report FID and KID too."),
    ] = None,
    best_of: Annotated[
        int | None, typer.Option(help="Judge the best of so many candidates, as --best-of of generate.", min=1, max=16)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how often the pictures show what was asked, by category."""
    from ..evaluate import evaluate_command

    raise typer.Exit(
        evaluate_command(
            model, samples, seed, batch_size, device or "auto", world, grid, clip, inception, as_json, best_of
        )
    )


def calibrate(
    model: Annotated[str, typer.Argument(help="A diffusers model: folder, hub id or URL.")],
    size: Annotated[str | None, typer.Option(help="Size in pixels, such as 512x512; default the model's own.")] = None,
    num_inference_steps: Annotated[
        int | None, typer.Option(help="Steps of a picture; default the model's own.", min=1)
    ] = None,
    dtype: Dtype = None,
    offload: Offload = None,
    compile: Compile = None,
    device: Device = None,
    gpus_per_worker: GpusPerWorker = None,
    ray_address: RayAddress = None,
    as_json: AsJson = False,
) -> None:
    """Measure which micro-batch of a diffusers model is worth its size, and keep it for --micro-batch auto."""
    pool = pool_of(locals())
    from imagen_model.open_models.options import ModelOptions

    from ..calibrate import calibrate_command

    options = ModelOptions(dtype=dtype, offload=offload, compile=bool(compile))
    raise typer.Exit(calibrate_command(model, size, num_inference_steps, pool, options, as_json))


def bench(
    images: Annotated[int, typer.Option(help="Images of a measurement of the model.", min=32)] = 256,
    rounds: Annotated[int, typer.Option(help="Interleaved rounds; medians are reported.", min=1)] = 3,
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="pipeline, encoder, memory or decoder (default: these), scale, object-store, img2dataset, serve, "
            "litserve, sleeping, cluster, imagen-pytorch, diffusers, datadreamer."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Of the part diffusers: a folder; default a small one.")] = None,
    suite: Annotated[
        str | None,
        typer.Option(help="gpu: instead of parts, models of true size beside a plain diffusers loop on this device."),
    ] = None,
    compile: Annotated[bool, typer.Option("--compile", help="Of the suite: the compiled generator too.")] = False,
    toy: Annotated[bool, typer.Option("--toy", help="Of the suite: tiny models, to see that it runs.")] = False,
) -> None:
    """Measure the pipeline beside the bare model, the encoder's limit, memory and decoding; one JSON line."""
    from ..bench import bench_command, suite_command

    if suite is not None:
        raise typer.Exit(suite_command(suite, rounds, compile, toy))
    raise typer.Exit(bench_command(images, rounds, part or [], model))
