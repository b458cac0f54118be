"""How one pipeline is called, and what it takes: from its class's signature and its parts' configurations.

Where a family's way cannot be read from those, it stands here, beside the reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from .folder import Pipeline, UnusableModel
from .signature import PipelineClass, pads_to_longest, pipeline_class, text_to_image

DISTILLED_STEPS = 4
UNGUIDED = 0.0  # a guidance scale with which no pipeline guides
FALLBACK_SIDE = 1024  # of pipelines that state their size nowhere but in their code (FLUX, Qwen-Image, Z-Image)
UNET_MULTIPLE, TRANSFORMER_MULTIPLE = 8, 16  # held by their classes' own checks, whatever the autoencoder's factor
# Sizes at which `use_resolution_binning` knows its table; elsewhere it raises.
BINNED = {"PixArtAlphaPipeline": {32, 64, 128, 256}, "PixArtSigmaPipeline": {32, 64, 128, 256}}
BINNED["SanaPipeline"] = {16, 32, 64, 128}
# Whose rows are tested to be the same beside any others. Of another class nobody knows what a row's neighbours change
# (padding, masks, reshaped states), so its rows are run one by one.
BATCHED = {
    "AuraFlowPipeline",
    "FluxPipeline",
    "IFPipeline",
    "IFSuperResolutionPipeline",
    "Lumina2Pipeline",
    "PixArtSigmaPipeline",
    "QwenImagePipeline",
    "SanaPipeline",
    "StableDiffusion3Pipeline",
    "StableDiffusionPipeline",
    "StableDiffusionXLPipeline",
}


@dataclass(frozen=True)
class CallForm:
    """Args:
    class_name: of the text-to-image pipeline, perhaps not the one that the model was saved by.
    guidance: the parameter by which classifier-free or embedded guidance is given; None where there is none.
    guidance_scale, steps: the pipeline's own.
    takes_negative: whether `negative_prompt` means something to it.
    takes_size: whether it takes width and height.
    fixed: further arguments of every call.
    max_tokens: of text encoders that are not CLIP's; None for what their tokenizers say.
    side: pixels of the model's own size.
    multiple: pixels; every side is a multiple of it.
    lora: whether the pipeline loads LoRA adapters.
    pads_to_longest: whether the texts of a batch are padded to its longest, so that only those of equal length can
        share one without changing each other's arithmetic.
    batched: whether rows may be run together at all (`BATCHED`).
    """

    class_name: str
    guidance: str | None
    guidance_scale: float
    steps: int | None
    takes_negative: bool
    takes_size: bool
    fixed: dict[str, Any] = field(default_factory=dict)
    max_tokens: int | None = None
    side: int = FALLBACK_SIDE
    multiple: int = UNET_MULTIPLE
    lora: bool = False
    pads_to_longest: bool = False
    batched: bool = True


def call_form(pipeline: Pipeline, place: str, enlarging: bool = False) -> CallForm:
    """Args:
        place: where the model lies, for messages.
        enlarging: it is a later stage of a cascade, which takes a picture.

    Raises:
        UnusableModel: the class is unknown to diffusers, or makes no pictures of prompts alone.
    """
    name = pipeline.class_name if enlarging else text_to_image(pipeline.class_name)
    known = pipeline_class(name)
    if known is None:
        raise UnusableModel(
            f"{place} is a {name}, which the installed diffusers does not have; a newer one may: install it, or use "
            "another model"
        )
    takes = known.parameters
    needed = {one for one, default in takes.items() if default is ...} - {"prompt", "image"}
    pictured = "image" in takes and (takes["image"] is ... or name not in {text_to_image(name)})
    if "prompt" not in takes or "generator" not in takes or needed or (pictured and not enlarging):
        wants = ", ".join(sorted(needed)) or ("a picture" if pictured else "no prompt or no generator")
        raise UnusableModel(f"{place} is a {name}, which wants {wants}; give a text-to-image model")
    if enlarging and "image" not in takes:
        raise UnusableModel(f"{place} is a {name}, which enlarges no picture; later stages must be upscalers")
    distilled = is_distilled(pipeline, known)
    guidance = None if distilled else guidance_of(known)
    default = takes.get(guidance) if guidance else None
    turbo = guidance is not None and seems_turbo(pipeline, known)
    classifier_free = guidance is not None and not (guidance == "guidance_scale" and "true_cfg_scale" in takes)
    steps = takes.get("num_inference_steps")
    return CallForm(
        class_name=name,
        guidance=guidance,
        guidance_scale=UNGUIDED if turbo else float(default) if isinstance(default, int | float) else 1.0,
        steps=(DISTILLED_STEPS if distilled or turbo else steps) if isinstance(steps, int) else None,
        takes_negative="negative_prompt" in takes and classifier_free,
        takes_size={"width", "height"} <= set(takes),
        fixed=fixed_arguments(pipeline, known, distilled),
        max_tokens=max_tokens(known, distilled),
        side=own_side(pipeline, known),
        multiple=multiple_of(pipeline, known),
        lora=any("LoraLoaderMixin" in base for base in known.bases),
        pads_to_longest=pads_to_longest(name) or name.startswith("ZImage"),
        batched=name in BATCHED,
    )


def is_distilled(pipeline: Pipeline, known: PipelineClass) -> bool:
    """Whether the model's own files say that guidance was distilled away: few steps, no guidance, no negative prompt.

    An index that has `is_distilled` decides (FLUX.2-klein, and its base, which is guided); FLUX.1 says it in its
    transformer.
    """
    stated = pipeline.index.get("is_distilled")
    if isinstance(stated, bool):
        return stated
    return known.name == "FluxPipeline" and pipeline.config("transformer").get("guidance_embeds") is False


def seems_turbo(pipeline: Pipeline, known: PipelineClass) -> bool:
    """Whether few steps without guidance are the better default, though nothing says that the model was distilled.

    SD- and SDXL-Turbo are known only by their scheduler, Euler with trailing steps. Others are saved so too, so it
    refuses nothing; those with a zero terminal SNR always are, and are guided.
    """
    scheduler = pipeline.parts.get("scheduler")
    if scheduler is None or not known.name.startswith("StableDiffusion"):
        return False
    euler = scheduler.class_name in {"EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler"}
    trailing = scheduler.config.get("timestep_spacing") == "trailing"
    return euler and trailing and not scheduler.config.get("rescale_betas_zero_snr")


def guidance_of(known: PipelineClass) -> str | None:
    """`true_cfg_scale` where it is on by default (Qwen-Image), else `guidance_scale` with a default."""
    true_scale = known.parameters.get("true_cfg_scale")
    if isinstance(true_scale, float | int) and true_scale > 1:
        return "true_cfg_scale"
    return "guidance_scale" if isinstance(known.parameters.get("guidance_scale"), float | int) else None


def fixed_arguments(pipeline: Pipeline, known: PipelineClass, distilled: bool) -> dict[str, Any]:
    takes = known.parameters
    fixed: dict[str, Any] = {}
    if distilled and "guidance_scale" in takes:
        fixed["guidance_scale"] = UNGUIDED
    if "clean_caption" in takes:
        fixed["clean_caption"] = False  # else a caption depends on whether beautifulsoup4 and ftfy are installed
    if "use_resolution_binning" in takes:
        fixed["use_resolution_binning"] = transformer_side(pipeline) in BINNED.get(known.name, set())
    limit = max_tokens(known, distilled)
    if limit is not None and "max_sequence_length" in takes:
        fixed["max_sequence_length"] = limit
    return fixed


def max_tokens(known: PipelineClass, distilled: bool) -> int | None:
    limit = known.parameters.get("max_sequence_length")
    if known.name == "FluxPipeline" and distilled and limit == 512:
        return 256  # what FLUX.1-schnell was trained with
    return limit if isinstance(limit, int) else None


def transformer_side(pipeline: Pipeline) -> int | None:
    """Latent cells a side of the network's own size."""
    for part in ("transformer", "unet", "prior"):
        side = pipeline.config(part).get("sample_size")
        side = side[-1] if isinstance(side, list) and side else side
        if isinstance(side, int):
            return side
    return None


def vae_factor(pipeline: Pipeline) -> int:
    """Pixels a side that one latent cell stands for; 1 where the network draws pixels."""
    for part in ("vae", "movq", "vqvae"):
        config = pipeline.config(part)
        for blocks in ("block_out_channels", "encoder_block_out_channels", "dim_mult"):
            if isinstance(config.get(blocks), list):
                return 2 ** (len(config[blocks]) - 1)
    return 1


def own_side(pipeline: Pipeline, known: PipelineClass) -> int:
    cells, stated = transformer_side(pipeline), known.parameters.get("height")
    multiple = multiple_of(pipeline, known)
    side = stated if isinstance(stated, int) and known.name != "SanaPipeline" else None
    side = side or (cells * vae_factor(pipeline) if cells is not None else FALLBACK_SIDE)
    return max(multiple, side // multiple * multiple)


def multiple_of(pipeline: Pipeline, known: PipelineClass) -> int:
    factor = vae_factor(pipeline)
    if "transformer" not in pipeline.parts:
        return math.lcm(UNET_MULTIPLE, factor)
    if known.name.startswith("Sana"):
        return math.lcm(32, factor)
    return math.lcm(TRANSFORMER_MULTIPLE, 2 * factor)
