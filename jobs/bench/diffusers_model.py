"""A Stable Diffusion and an SDXL-Turbo of random weights, small enough for a CPU and large enough that their networks
take the time."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

SIDE, STEPS = 128, 4  # pixels, and steps of a picture: 0.2 s of a core
CHANNELS = (96, 192, 192)  # 13 million parameters in the U-Net
WIDTH = 32  # of text states
CHARACTERS = string.ascii_lowercase + string.digits


def write_model(folder: Path) -> None:
    """A model folder as `DiffusionPipeline.save_pretrained` leaves it."""
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    from imagen_model.open_models.loading import quiet

    quiet()
    torch.manual_seed(0)
    pipeline: Any = StableDiffusionPipeline(
        unet=unet(cross_attention_dim=WIDTH),
        vae=vae(),
        text_encoder=text_encoder(),
        tokenizer=letters(),
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)


def write_turbo(folder: Path) -> None:
    """The same of an SDXL-Turbo, whose guidance is distilled away."""
    import torch
    from diffusers import EulerAncestralDiscreteScheduler, StableDiffusionXLPipeline

    from imagen_model.open_models.loading import quiet

    quiet()
    torch.manual_seed(0)
    added = {"addition_embed_type": "text_time", "addition_time_embed_dim": WIDTH}
    pipeline: Any = StableDiffusionXLPipeline(
        unet=unet(cross_attention_dim=2 * WIDTH, projection_class_embeddings_input_dim=7 * WIDTH, **added),
        vae=vae(),
        text_encoder=text_encoder(),
        text_encoder_2=text_encoder(projected=True),
        tokenizer=letters(),
        tokenizer_2=letters(),
        scheduler=EulerAncestralDiscreteScheduler(beta_schedule="scaled_linear", timestep_spacing="trailing"),
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder)


def unet(**settings: Any) -> Any:
    from diffusers import UNet2DConditionModel

    attention = len(CHANNELS) - 1
    return UNet2DConditionModel(
        sample_size=SIDE // 8,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        norm_num_groups=16,
        attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D",) * attention + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * attention,
        **settings,
    )


def vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(16, 32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=8,
    )


def text_encoder(projected: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    tokenizer = letters()
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_attention_heads=2,
        num_hidden_layers=2,
        projection_dim=WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return CLIPTextModelWithProjection(config) if projected else CLIPTextModel(config)


def letters() -> Any:
    """CLIP's tokenizer with a token a letter, for there is no vocabulary to fetch."""
    from transformers import CLIPTokenizer

    words = ["<|startoftext|>", "<|endoftext|>", *CHARACTERS, *(f"{letter}</w>" for letter in CHARACTERS)]
    return CLIPTokenizer({word: number for number, word in enumerate(words)}, merges=[], model_max_length=77)
