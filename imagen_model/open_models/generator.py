"""A diffusers pipeline behind the one verb: every row's picture is its own, whatever it is computed with.

Floating-point sums of different shapes differ in their last bits, so a network only ever runs on one number of rows,
the micro-batch; a short one is filled up with copies. That number is small and fixed for a device and size, and part
of a run's plan where the user chooses it. `batch_size` says how many requests to hand over at a time and changes no
picture.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..devices import choose_device, single_thread_on_cpu
from ..generation import ErrorCode, Failure, GenerationRequest, RequestRules, Result, Success
from ..grouped import generate_grouped
from ..notes import Notes
from ..post_processing import post_process
from .call_form import CallForm
from .folder import Pipeline
from .loading import load_pipeline
from .micro_batch import Crowded, MicroBatch, default_rows
from .options import NO_OPTIONS, ModelOptions
from .rules import cascade_sides, read_model
from .running import RunShape, Stage, run_stages
from .text_cache import RowCache
from .tokens import TokenCounter

TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4")
NETWORKS = ("unet", "transformer")
SHAPES = 100_000  # that a block is compiled for at most
TILED_PIXELS = 2048 * 2048  # of a picture beyond which its autoencoder works in tiles


class DiffusersGenerator:
    """One model in memory, on one device."""

    def __init__(
        self,
        stages: Sequence[Stage],
        rules: RequestRules,
        device: torch.device,
        options: ModelOptions = NO_OPTIONS,
        batch_size: int | None = None,
    ) -> None:
        if stages[0].form.pads_to_longest and options.micro_batch is None:
            options = replace(options, micro_batch=1)  # texts of one length are too rare to wait for
        self.stages, self.rules, self.device, self.options = list(stages), rules, device, options
        self.counter = TokenCounter(stages[0].pipeline, stages[0].form.max_tokens)
        alone = not all(stage.form.batched for stage in stages)
        self.micro_batches = MicroBatch(options, device, alone)
        side = rules.sizes[0]
        self.batch_size = batch_size or 2 * default_rows(options, device, *side, alone)
        self.warm_up_seconds = 0.0

    @classmethod
    def from_folder(
        cls, folder: str, options: ModelOptions = NO_OPTIONS, batch_size: int | None = None, device: str = "auto"
    ) -> DiffusersGenerator:
        """Load from a folder onto a device; "auto" takes a GPU if there is one.

        Raises:
            UnusableModel: see `loading.load_pipeline`.
        """
        rules, pipelines, forms = read_model(Path(folder), folder, options)
        where = choose_device(device)
        generator = cls(load_stages(pipelines, forms, options, where), rules, where, options, batch_size)
        generator.warm_up()
        return generator

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Result]:
        return generate_grouped(self, self.rules, requests, lambda _, ready, shape: self.draw(ready, shape))

    def group_key(self, request: GenerationRequest) -> RunShape:
        """What a run's rows have in common; `request` is resolved.

        Raises:
            InvalidRequest: no text encoder reads the prompt or the negative prompt whole.
        """
        form = self.stages[0].form
        away = request.negative_prompt or ""
        check = self.counter.counts if self.options.long_prompts == "truncate" else None
        tokens = check(request.prompt) if check else self.counter.check("prompt", request.prompt)
        if away or form.pads_to_longest:
            tokens += check(away) if check else self.counter.check("negative_prompt", away)
        return RunShape(
            request.width or 0,
            request.height or 0,
            request.num_inference_steps,
            request.guidance_scale,
            bool(away),
            tokens if form.pads_to_longest else (),
        )

    def keep_notes(self, notes: Notes) -> None:
        if not self.options.fast:
            self.micro_batches.notes = notes

    def group_size(self, key: Hashable) -> int:
        assert isinstance(key, RunShape)
        return self.micro_batches.rows(key)

    def draw(self, requests: list[GenerationRequest], shape: RunShape) -> list[Result]:
        """As many pictures as `group_size` says, or fewer."""
        began = time.perf_counter()
        try:
            pictures = self.micro_batches.run(requests, shape, lambda rows: self.run(rows, shape))
        except Crowded as error:
            return [Failure(ErrorCode.OUT_OF_MEMORY, str(error))] * len(requests)
        seconds = (time.perf_counter() - began) / len(requests)
        return [
            picture if isinstance(picture, Failure) else Success(post_process(picture, one.post_processing), seconds)
            for picture, one in zip(pictures, requests, strict=True)
        ]

    def run(self, requests: list[GenerationRequest], shape: RunShape) -> list[Any]:
        """One run of the networks, on exactly these rows."""
        stages = self.stages
        if stages[0].side is not None:  # a smaller picture needs fewer of a cascade's stages
            reached = [number for number, stage in enumerate(stages) if (stage.side or 0) >= shape.width]
            stages = stages[: reached[0] + 1]
        for stage in stages:
            tile(stage.pipeline, self.options.vae_tiling, shape.width * shape.height)
        with torch.inference_mode(), self.threads():
            return run_stages(stages, requests, shape)

    @contextmanager
    def threads(self) -> Iterator[None]:
        """One thread on a CPU, for sums are split by threads; all of them where speed is wanted instead."""
        if self.options.fast:
            yield
            return
        with single_thread_on_cpu(self.device):
            yield

    def warm_up(self) -> None:
        """Compile for the model's own size, if compiling is wanted, and say what it took."""
        if not self.options.compile:
            return
        began = time.perf_counter()
        steps = {"num_inference_steps": 2} if "num_inference_steps" in self.rules.defaults else {}
        self.generate([GenerationRequest("a warm-up", 0, **steps)])  # type: ignore[arg-type]
        self.warm_up_seconds = time.perf_counter() - began


def load_stages(
    pipelines: Sequence[Pipeline], forms: Sequence[CallForm], options: ModelOptions, device: torch.device
) -> list[Stage]:
    """Every pipeline of the model on the device, as the options want it run."""
    choose_kernels(options)
    sides: list[int | None] = list(reversed(cascade_sides(list(pipelines), list(forms)))) or [None]
    stages: list[Stage] = []
    for pipeline, form, side in zip(pipelines, forms, sides, strict=True):
        shared = dict(stages[0].pipeline.components) if stages else {}
        own = options if not stages else ModelOptions.of({**options.given(), "lora": (), "scheduler": None})
        made = load_pipeline(pipeline, form, own, device, shared)
        prepare(made, options, device)
        stages.append(Stage(made, form, side))
    return stages


def choose_kernels(options: ModelOptions) -> None:
    """Of a GPU: those that give the same bits every time, or those that trials find fastest."""
    torch.backends.cudnn.deterministic = not options.fast
    torch.backends.cudnn.benchmark = options.fast
    torch.backends.cuda.matmul.allow_tf32 = options.fast
    torch.backends.cudnn.allow_tf32 = options.fast


def prepare(made: Any, options: ModelOptions, device: torch.device) -> None:
    """Memory formats, caches, compilation and where the weights are."""
    for name in TEXT_ENCODERS:
        encoder = getattr(made, name, None)
        if isinstance(encoder, nn.Module) and not isinstance(encoder.forward, RowCache):
            RowCache(encoder)
    if options.attention_slicing:
        made.enable_attention_slicing()
    vae: Any = getattr(made, "vae", None)
    if hasattr(vae, "enable_slicing"):
        vae.enable_slicing()  # pictures are decoded one by one: less memory, and no neighbour in the sums
    if device.type == "cuda":
        for name in ("unet", "vae"):
            if isinstance(getattr(made, name, None), nn.Module):
                getattr(made, name).to(memory_format=torch.channels_last)
    if options.offload is None or device.type == "cpu":  # where weights are in the CPU's memory anyway
        made.to(device)
    elif options.offload == "model":
        made.enable_model_cpu_offload(device=device)
    else:
        made.enable_sequential_cpu_offload(device=device)
    if options.compile:
        compile_blocks(made)


def compile_blocks(made: Any) -> None:
    """Those that a network repeats, once a shape."""
    import torch._dynamo.config as limits

    # Beyond a handful of shapes torch would run further ones uncompiled, with other bits in a worker that met them in
    # another order.
    limits.recompile_limit = limits.accumulated_recompile_limit = SHAPES
    for name in NETWORKS:
        network: Any = getattr(made, name, None)
        if getattr(network, "_repeated_blocks", None):
            network.compile_repeated_blocks(dynamic=False)


def tile(made: Any, wanted: bool | None, pixels: int) -> None:
    """Tiles for the autoencoder, by the picture's size alone, so that its bytes depend on nothing else."""
    vae: Any = getattr(made, "vae", None)
    if not hasattr(vae, "enable_tiling"):
        return
    if wanted or (wanted is None and pixels > TILED_PIXELS):
        vae.enable_tiling()
    else:
        vae.disable_tiling()
