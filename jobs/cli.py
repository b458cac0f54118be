"""`imagegen`: a command parses, calls, reports and exits honestly.

Nothing heavy is imported before a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from .exit_codes import ExitCode

app = typer.Typer(
    name="imagegen",
    help="Turn a table of prompts into a dataset of images: nothing lost, every image reproducible.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Output = Annotated[str, typer.Argument(help="Folder or URL of a run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes, each holding the model; default: what Ray finds.")]
GpusPerWorker = Annotated[float | None, typer.Option(help="GPUs of each worker; default 1 where there are GPUs.")]
CpusPerWorker = Annotated[float | None, typer.Option(help="CPUs of each worker; default 1.")]
BatchSize = Annotated[int | None, typer.Option(help="Images computed together; changes no image.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:1.")]
RayAddress = Annotated[str | None, typer.Option(help="Address of a Ray cluster; default: Ray on this machine.")]


@app.command()
def generate(
    prompts: Annotated[
        str | None, typer.Argument(help="Prompt table: a Parquet, CSV, TSV, JSONL or text file, a folder or a glob.")
    ] = None,
    output: Annotated[str | None, typer.Argument(help="Folder or URL of the dataset.")] = None,
    job: Annotated[Path | None, typer.Option(help="YAML file with any of these settings; flags win.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Bundled model, folder, hub id or URL of a folder; default imagen-small.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="Address of an `imagegen serve` to make the pictures.")] = None,
    n: Annotated[int | None, typer.Option(help="Images a prompt, 1 to 100.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the rows that bring none.")] = None,
    size: Annotated[str | None, typer.Option(help="Size in pixels, such as 128x128.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="Classifier-free guidance; 1 is none.")] = None,
    num_inference_steps: Annotated[int | None, typer.Option(help="Steps, for models that sample in steps.")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="0 takes the likeliest value, 1 samples as trained.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Sample from the k likeliest values only; 0 from all.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Sample from the likeliest values of this total share.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What guidance steers away from.")] = None,
    best_of: Annotated[
        int | None, typer.Option(help="Keep the likeliest of so many candidates, 1 to 16, by the model itself.")
    ] = None,
    post_processing: Annotated[
        str | None, typer.Option(help="Steps in order: denoise, sharpen=AMOUNT, upscale=WIDTHxHEIGHT.")
    ] = None,
    image_format: Annotated[str | None, typer.Option(help="png, jpeg or webp.")] = None,
    output_format: Annotated[str | None, typer.Option(help="imagefolder, webdataset or parquet.")] = None,
    quality: Annotated[int | None, typer.Option(help="1 to 100, for jpeg and webp.")] = None,
    input_format: Annotated[
        str | None, typer.Option(help="parquet, csv, tsv, jsonl, text, coco or conceptual-captions.")
    ] = None,
    prompt_column: Annotated[str | None, typer.Option(help="Column of the prompts; default: prompt, text, ...")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first rows; the rest can follow later.")] = None,
    extend: Annotated[
        bool | None, typer.Option("--extend", help="Go on with files that came to the prompt folder since.")
    ] = None,
    shard_rows: Annotated[int | None, typer.Option(help="Rows of a shard, the unit of work and of resume.")] = None,
    max_failures: Annotated[str | None, typer.Option(help="Stop after so many failed images: 20 or 5%.")] = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    cpus_per_worker: CpusPerWorker = None,
    batch_size: BatchSize = None,
    device: Device = None,
    ray_address: RayAddress = None,
    log_file: Annotated[str | None, typer.Option(help="Where Ray's messages go; default OUTPUT/.run/ray.log.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, its time and bytes; write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make an image for every row of a prompt table. Run again to go on after any interruption."""
    flags = dict(locals())
    for name in ("job", "dry_run", "as_json"):
        flags.pop(name)
    from .generate import generate_command

    raise typer.Exit(generate_command(job, flags, dry_run, as_json))


@app.command()
def status(output: Output, as_json: AsJson = False) -> None:
    """Say how far a run is: rows, images, failures by code."""
    from .inspect import status_command

    raise typer.Exit(status_command(output, as_json))


@app.command()
def verify(
    output: Output,
    clean: Annotated[bool, typer.Option("--clean", help="Remove files that no manifest row names.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read everything back: every row once, sizes and hashes right, nothing else there."""
    from .inspect import verify_command

    raise typer.Exit(verify_command(output, clean, as_json))


@app.command()
def export(
    output: Output,
    destination: Annotated[str, typer.Argument(help="Folder or URL of the copy.")],
    to: Annotated[str, typer.Option("--to", help="imagefolder, webdataset or parquet.")],
    as_json: AsJson = False,
) -> None:
    """Copy a finished run into another output format; run again to go on after an interruption."""
    from .export import export_command

    raise typer.Exit(export_command(output, destination, to, as_json))


@app.command()
def retry(
    output: Output,
    code: Annotated[list[str] | None, typer.Option(help="Only rows that failed with this code; repeatable.")] = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    cpus_per_worker: CpusPerWorker = None,
    batch_size: BatchSize = None,
    device: Device = None,
    ray_address: RayAddress = None,
    as_json: AsJson = False,
) -> None:
    """Make the failed rows again, and nothing else."""
    pool = {
        "workers": workers,
        "gpus_per_worker": gpus_per_worker,
        "cpus_per_worker": cpus_per_worker,
        "batch_size": batch_size,
        "device": device,
        "ray_address": ray_address,
    }
    from .generate import retry_command

    raise typer.Exit(retry_command(output, code or [], pool, as_json))


@app.command()
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
    log_file: Annotated[str | None, typer.Option(help="Where Ray's messages go; default OUTPUT/.run/ray.log.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write an alt text for every picture. Run again to go on after any interruption."""
    pool = {
        "workers": workers,
        "gpus_per_worker": gpus_per_worker,
        "cpus_per_worker": cpus_per_worker,
        "batch_size": batch_size,
        "device": device,
        "ray_address": ray_address,
    }
    from .caption import caption_command

    raise typer.Exit(caption_command(images, output, model, pool, log_file, as_json))


@app.command()
def serve(
    model: Annotated[
        str | None, typer.Option(help="Bundled model, folder, hub id or URL; default imagen-small.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine's own need API keys.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8000,
    replicas: Annotated[
        int | None, typer.Option(help="Processes holding the model; default one a GPU, or one.")
    ] = None,
    max_replicas: Annotated[int | None, typer.Option(help="Scale up to so many by what waits.")] = None,
    gpus_per_replica: Annotated[
        float | None, typer.Option(help="GPUs of each; default 1 where there are GPUs.")
    ] = None,
    cpus_per_replica: Annotated[float | None, typer.Option(help="CPUs of each; default 1.")] = None,
    batch_size: BatchSize = None,
    device: Device = None,
    max_queue: Annotated[
        int | None, typer.Option(help="Pictures waiting or being made, past which requests get 429; default 256.")
    ] = None,
    deadline: Annotated[float | None, typer.Option(help="Seconds to answer a request in; default 120.")] = None,
    api_keys: Annotated[str | None, typer.Option(help="File with an API key a line; or IMAGEGEN_API_KEYS.")] = None,
    rate_limit: Annotated[int | None, typer.Option(help="Pictures a minute for each key; default no limit.")] = None,
    max_body: Annotated[int | None, typer.Option(help="Bytes of a request; default 1 MiB.")] = None,
    max_upscale: Annotated[
        int | None, typer.Option(help="Pixels a side that post-processing may make; default 2048.")
    ] = None,
    url_seconds: Annotated[
        float | None, typer.Option(help="How long pictures are kept for URLs; default 3600.")
    ] = None,
    url_megabytes: Annotated[float | None, typer.Option(help="How much of them together; default 256.")] = None,
    public_url: Annotated[str | None, typer.Option(help="What their URLs begin with, behind a proxy.")] = None,
    batch_folder: Annotated[
        str | None, typer.Option(help="Folder or URL of files and batches; default in your data folder.")
    ] = None,
    max_file_megabytes: Annotated[float | None, typer.Option(help="Of a file for a batch; default 200.")] = None,
    max_batch_requests: Annotated[int | None, typer.Option(help="That a batch may have; default 50,000.")] = None,
    keep_days: Annotated[float | None, typer.Option(help="How long files and batches are kept; default 30.")] = None,
    cors_origins: Annotated[
        str | None, typer.Option(help="Origins whose pages may call the API, between commas; default none.")
    ] = None,
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="Let everybody in, on any --host.")
    ] = False,
    log_file: Annotated[str | None, typer.Option(help="Where Ray's messages go; default nowhere.")] = None,
) -> None:
    """Answer OpenAI's Images API with the same generator; Ctrl-C finishes what is in flight and stops."""
    flags = dict(locals())
    for name in ("host", "port", "allow_anonymous", "log_file"):
        flags.pop(name)
    from .serve import serve_command

    status = serve_command(flags, host, port, allow_anonymous, log_file)
    if status == ExitCode.INTERRUPTED:
        leave(status)
    raise typer.Exit(status)


@app.command()
def train(job: Annotated[Path, typer.Argument(help="YAML file, such as jobs/specs/imagen-small.yaml.")]) -> None:
    """Train an Imagen on the drawn world; run again to go on from the last checkpoint."""
    from .train import train_command

    raise typer.Exit(train_command(job))


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Bundled model, folder, hub id or URL.")] = "imagen-small",
    samples: Annotated[int, typer.Option(help="Pictures a category and split.", min=1)] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the questions and pictures.", min=0)] = 0,
    batch_size: BatchSize = None,
    device: Device = "auto",
    world: Annotated[
        str | None, typer.Option(help="illustrations or drawn_world; default what the model was trained on.")
    ] = None,
    grid: Annotated[Path | None, typer.Option(help="Write a PNG grid of the pictures, wrong ones framed red.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how often the pictures show what was asked, by category."""
    from .evaluate import evaluate_command

    raise typer.Exit(evaluate_command(model, samples, seed, batch_size, device or "auto", world, grid, as_json))


@app.command()
def bench(
    images: Annotated[int, typer.Option(help="Images of a measurement of the model.", min=32)] = 256,
    rounds: Annotated[int, typer.Option(help="Interleaved rounds; medians are reported.", min=1)] = 3,
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="pipeline, encoder, memory or decoder (default: these), scale, object-store, img2dataset, serve."
        ),
    ] = None,
) -> None:
    """Measure the pipeline beside the bare model, the encoder's limit, memory and decoding; one JSON line."""
    from .bench import bench_command

    raise typer.Exit(bench_command(images, rounds, part or []))


def main() -> None:
    """Run the command; every expected error is one message and an exit code, never a traceback."""
    try:
        # With standalone_mode off, typer gives the exit status back instead of leaving.
        status = int(app(standalone_mode=False) or 0)
    except typer.Abort:
        status = ExitCode.INTERRUPTED
    except Exception as error:
        from .report import exit_code_of

        status = exit_code_of(error)
    if status == ExitCode.INTERRUPTED:
        from .report import say

        say("imagegen: interrupted; finished shards are kept: run the same command again to go on")
    leave(status)


def leave(status: int) -> NoReturn:
    """End the process here: nothing is left to do, and Arrow's threads now and then abort while Python tears down
    ("terminate called without an active exception"), which would turn a good run's status into 134."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
