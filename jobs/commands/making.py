"""`imagegen generate` and `retry`: the commands that make pictures of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    AsJson,
    AttentionSlicing,
    BatchSize,
    C2paCertificate,
    C2paKey,
    Compile,
    CpusPerWorker,
    Device,
    Dtype,
    Fast,
    GpusPerWorker,
    LogFile,
    LongPrompts,
    Lora,
    Metadata,
    MetricsHost,
    MetricsPort,
    MicroBatch,
    NoSafetyChecker,
    Offload,
    Output,
    PricePerGpuHour,
    Quiet,
    RayAddress,
    Scheduler,
    VaeTiling,
    Watermark,
    Workers,
    pool_of,
)


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
        int | None, typer.Option(help="Keep the best of so many candidates, 1 to 16, as the model judges.")
    ] = None,
    post_processing: Annotated[
        str | None, typer.Option(help="Steps in order: colorize, denoise, sharpen=AMOUNT, upscale=WIDTHxHEIGHT.")
    ] = None,
    image_format: Annotated[str | None, typer.Option(help="png, jpeg or webp.")] = None,
    output_format: Annotated[str | None, typer.Option(help="imagefolder, webdataset or parquet.")] = None,
    quality: Annotated[int | None, typer.Option(help="1 to 100, for jpeg and webp.")] = None,
    metadata: Metadata = None,
    c2pa_certificate: C2paCertificate = None,
    c2pa_key: C2paKey = None,
    input_format: Annotated[
        str | None,
        typer.Option(
            help="parquet, csv, tsv, jsonl, text, paragraphs, openai-batch, a1111, coco or conceptual-captions."
        ),
    ] = None,
    prompt_column: Annotated[str | None, typer.Option(help="Column of the prompts; default: prompt, text, ...")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first rows; the rest can follow later.")] = None,
    extend: Annotated[
        bool | None, typer.Option("--extend", help="Go on with files that came to the prompt folder since.")
    ] = None,
    shard_rows: Annotated[int | None, typer.Option(help="Rows of a shard, the unit of work and of resume.")] = None,
    max_failures: Annotated[str | None, typer.Option(help="Stop after so many failed images: 20 or 5%.")] = None,
    lora: Lora = None,
    scheduler: Scheduler = None,
    dtype: Dtype = None,
    micro_batch: MicroBatch = None,
    attention_slicing: AttentionSlicing = None,
    vae_tiling: VaeTiling = None,
    offload: Offload = None,
    compile: Compile = None,
    fast: Fast = None,
    long_prompts: LongPrompts = None,
    no_safety_checker: NoSafetyChecker = None,
    watermark: Watermark = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    cpus_per_worker: CpusPerWorker = None,
    batch_size: BatchSize = None,
    device: Device = None,
    ray_address: RayAddress = None,
    price_per_gpu_hour: PricePerGpuHour = None,
    report: Annotated[
        bool | None, typer.Option("--report/--no-report", help="Write OUTPUT/report.html at the end; default yes.")
    ] = None,
    log_file: LogFile = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, its time and bytes; write nothing.")
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make an image for every row of a prompt table. Run again to go on after any interruption."""
    flags = dict(locals())
    for name in ("job", "dry_run", "quiet", "as_json"):
        flags.pop(name)
    from ..generate import generate_command

    raise typer.Exit(generate_command(job, flags, dry_run, as_json))


def retry(
    output: Output,
    code: Annotated[list[str] | None, typer.Option(help="Only rows that failed with this code; repeatable.")] = None,
    c2pa_certificate: C2paCertificate = None,
    c2pa_key: C2paKey = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    cpus_per_worker: CpusPerWorker = None,
    batch_size: BatchSize = None,
    device: Device = None,
    offload: Offload = None,
    ray_address: RayAddress = None,
    price_per_gpu_hour: PricePerGpuHour = None,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write OUTPUT/report.html at the end.")] = True,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make the failed rows again, and nothing else."""
    pool = pool_of(locals())
    from pipelines.credential_files import credential_files

    from ..generate import retry_command

    signing = credential_files(c2pa_certificate, c2pa_key)
    raise typer.Exit(
        retry_command(output, code or [], pool, report, metrics_port, metrics_host, signing, offload, as_json)
    )
