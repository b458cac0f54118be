"""`imagegen serve`: the same generator behind HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from ..exit_codes import ExitCode, leave
from .options import (
    AttentionSlicing,
    BatchSize,
    C2paCertificate,
    C2paKey,
    Compile,
    Device,
    Dtype,
    Fast,
    LongPrompts,
    Lora,
    Metadata,
    MicroBatch,
    NoSafetyChecker,
    Offload,
    Quiet,
    Scheduler,
    VaeTiling,
    Watermark,
)


def serve(
    model: Annotated[
        str | None, typer.Option(help="Bundled model, folder, hub id or URL; default imagen-small.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine's own need API keys.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8000,
    replicas: Annotated[
        int | None, typer.Option(help="Processes holding the model; default one a GPU, or one a core.")
    ] = None,
    max_replicas: Annotated[int | None, typer.Option(help="Scale up to so many by what waits.")] = None,
    gpus_per_replica: Annotated[
        float | None, typer.Option(help="GPUs of each; default 1 where there are GPUs.")
    ] = None,
    cpus_per_replica: Annotated[float | None, typer.Option(help="CPUs of each; default 1.")] = None,
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
    batch_size: BatchSize = None,
    device: Device = None,
    max_queue: Annotated[
        int | None, typer.Option(help="Pictures waiting or being made, past which requests get 429; default 256.")
    ] = None,
    deadline: Annotated[float | None, typer.Option(help="Seconds to answer a request in; default 120.")] = None,
    api_keys: Annotated[str | None, typer.Option(help="File with an API key a line; or IMAGEGEN_API_KEYS.")] = None,
    rate_limit: Annotated[int | None, typer.Option(help="Pictures a minute for each key; default no limit.")] = None,
    max_body: Annotated[int | None, typer.Option(help="Bytes of a request; default 1 MiB.")] = None,
    max_image_megabytes: Annotated[
        float | None, typer.Option(help="Of a picture to be colorized; default 20, at most 32.")
    ] = None,
    metadata: Metadata = None,
    c2pa_certificate: C2paCertificate = None,
    c2pa_key: C2paKey = None,
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
    quiet: Quiet = False,
) -> None:
    """Answer OpenAI's Images API with the same generator; Ctrl-C finishes what is in flight and stops."""
    flags = dict(locals())
    for name in ("host", "port", "allow_anonymous", "log_file", "quiet"):
        flags.pop(name)
    from ..serve import serve_command

    status = serve_command(flags, host, port, allow_anonymous, log_file)
    if status == ExitCode.INTERRUPTED:
        leave(status)
    raise typer.Exit(status)
