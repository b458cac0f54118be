"""Stable Diffusion 1.5, SDXL and FLUX.1-schnell at their true size with random weights, made where they will run.

A picture's time depends on the sizes of the layers and not on what they hold, so nothing need be fetched, and the tens
of gigabytes need not go over a disk. The sizes are those of the published configurations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from imagen_model.open_models.call_form import CallForm, call_form
from imagen_model.open_models.folder import Part, Pipeline
from imagen_model.open_models.generator import DiffusersGenerator, choose_kernels, prepare
from imagen_model.open_models.options import ModelOptions
from imagen_model.open_models.rules import rules_of
from imagen_model.open_models.running import Stage

from .diffusers_model import CHARACTERS, letters

WIDTH = 32  # of the small models' text states


@dataclass(frozen=True)
class Model:
    """One of the suite.

    Args:
        kind: its class in diffusers.
        parts: its components, small ones if told so; a network as what makes it, with random weights.
        side: of its pictures in pixels.
        steps: of a picture.
    """

    kind: str
    parts: Callable[[bool], dict[str, Any]]
    side: int
    steps: int


def stable_diffusion(small: bool) -> dict[str, Any]:
    from diffusers import DDIMScheduler, UNet2DConditionModel

    unet: dict[str, Any] = {"sample_size": 64, "attention_head_dim": 8, "cross_attention_dim": 768}
    if small:
        unet = {**unet, "sample_size": 8, "block_out_channels": (32, 32, 32, 32), "cross_attention_dim": WIDTH}
    return {
        "unet": partial(UNet2DConditionModel, **unet),
        "vae": autoencoder(small, latent_channels=4),
        "text_encoder": clip(small, 768, 12, 12),
        "tokenizer": letters(),
        "scheduler": DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def stable_diffusion_xl(small: bool) -> dict[str, Any]:
    from diffusers import EulerDiscreteScheduler, UNet2DConditionModel

    unet: dict[str, Any] = {
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "attention_head_dim": (5, 10, 20),
        "transformer_layers_per_block": (1, 2, 10),
        "cross_attention_dim": 2048,
        "projection_class_embeddings_input_dim": 6 * 256 + 1280,
    }
    if small:
        unet = {
            "sample_size": 8,
            "block_out_channels": (32, 32, 32),
            "attention_head_dim": (2, 2, 2),
            "transformer_layers_per_block": (1, 1, 2),
            "cross_attention_dim": 2 * WIDTH,
            "projection_class_embeddings_input_dim": 6 * 256 + WIDTH,
        }
    return {
        "unet": partial(
            UNet2DConditionModel,
            **unet,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            use_linear_projection=True,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        "vae": autoencoder(small, latent_channels=4, scaling_factor=0.13025),
        "text_encoder": clip(small, 768, 12, 12),
        "text_encoder_2": clip(small, 1280, 32, 20, projected=True),
        "tokenizer": letters(),
        "tokenizer_2": letters(),
        "scheduler": EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1),
        "add_watermarker": False,
    }


def flux_schnell(small: bool) -> dict[str, Any]:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
    from transformers import T5Config, T5EncoderModel

    latents = {"latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159}
    latents |= {"use_quant_conv": False, "use_post_quant_conv": False}
    network: dict[str, Any] = {}  # the class's own defaults are FLUX.1-schnell's
    text: dict[str, Any] = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
    if small:
        heads = {"num_attention_heads": 2, "attention_head_dim": 16, "axes_dims_rope": (4, 4, 8)}
        network = {"num_layers": 1, "num_single_layers": 2, "joint_attention_dim": WIDTH, **heads}
        network["pooled_projection_dim"] = WIDTH
        text = {"d_model": WIDTH, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
    return {
        "transformer": partial(FluxTransformer2DModel, **network),
        "vae": autoencoder(small, **latents),
        "text_encoder": clip(small, 768, 12, 12),
        "text_encoder_2": partial(T5EncoderModel, T5Config(vocab_size=32128, feed_forward_proj="gated-gelu", **text)),
        "tokenizer": letters(),
        "tokenizer_2": pieces(),
        "scheduler": FlowMatchEulerDiscreteScheduler(),
    }


def autoencoder(small: bool, **settings: Any) -> partial[Any]:
    from diffusers import AutoencoderKL

    return partial(
        AutoencoderKL,
        block_out_channels=(32, 32, 32, 32) if small else (128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1 if small else 2,
        **settings,
    )


def clip(small: bool, width: int, layers: int, heads: int, projected: bool = False) -> partial[Any]:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    if small:
        width, layers, heads = WIDTH, 2, 2
    tokenizer = letters()
    config = CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return partial(CLIPTextModelWithProjection if projected else CLIPTextModel, config)


def pieces() -> Any:
    """T5's tokenizer with a token a letter."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    known = ["<pad>", "</s>", "<unk>", *CHARACTERS]
    tokenizer = Tokenizer(models.WordLevel({piece: n for n, piece in enumerate(known)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **special)


MODELS = {
    "sd15": Model("StableDiffusionPipeline", stable_diffusion, 512, 20),
    "sdxl": Model("StableDiffusionXLPipeline", stable_diffusion_xl, 1024, 20),
    "flux-schnell": Model("FluxPipeline", flux_schnell, 1024, 4),
}


def make(model: Model, small: bool, device: torch.device, dtype: torch.dtype) -> Any:
    """The pipeline, in the device's memory."""
    import diffusers

    parts, usual = model.parts(small), torch.get_default_dtype()
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    try:
        with device:
            networks = {name: part() for name, part in parts.items() if isinstance(part, partial)}
    finally:
        torch.set_default_dtype(usual)
    for network in networks.values():
        network.eval().requires_grad_(False)
    made = getattr(diffusers, model.kind)(**parts | networks)
    made.set_progress_bar_config(disable=True)
    return made


def parameters_of(made: Any) -> dict[str, int]:
    """How many each network has."""
    networks = {name: part for name, part in made.components.items() if isinstance(part, torch.nn.Module)}
    return {name: sum(weight.numel() for weight in network.parameters()) for name, network in networks.items()}


def read(made: Any) -> Pipeline:
    """What `open_models.folder` would read from its files."""
    from diffusers import ConfigMixin

    parts = {
        name: Part(name, "", type(part).__name__, dict(part.config) if isinstance(part, ConfigMixin) else {})
        for name, part in made.components.items()
        if part is not None
    }
    return Pipeline(Path(), type(made).__name__, dict(made.config), parts)


def form_of(made: Any) -> CallForm:
    return call_form(read(made), type(made).__name__)


def generator_of(made: Any, options: ModelOptions, device: torch.device) -> DiffusersGenerator:
    """The pipeline as a job has it that loaded it from files; `made` itself is changed."""
    form = form_of(made)
    choose_kernels(options)
    prepare(made, options, device)
    return DiffusersGenerator([Stage(made, form)], rules_of([read(made)], [form]), device, options)
