"""A Stable Diffusion of random weights, small enough for a CPU and large enough that its networks take the time."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

SIDE, STEPS = 64, 8  # pixels, and steps of a picture
CHANNELS = (32, 64, 64)  # 1.4 million parameters in the U-Net
CHARACTERS = string.ascii_lowercase + string.digits


def write_model(folder: Path) -> None:
    """A model folder as `DiffusionPipeline.save_pretrained` leaves it."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from imagen_model.open_models.loading import quiet

    quiet()
    torch.manual_seed(0)
    attention = len(CHANNELS) - 1
    unet = UNet2DConditionModel(
        sample_size=SIDE // 8,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        norm_num_groups=16,
        attention_head_dim=8,
        cross_attention_dim=32,
        down_block_types=("CrossAttnDownBlock2D",) * attention + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * attention,
    )
    vae = AutoencoderKL(
        block_out_channels=(16, 32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=8,
    )
    tokenizer = letters()
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_attention_heads=2,
        num_hidden_layers=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    pipeline: Any = StableDiffusionPipeline(
        unet=unet,
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)


def letters() -> Any:
    """CLIP's tokenizer with a token a letter, for there is no vocabulary to fetch."""
    from transformers import CLIPTokenizer

    words = ["<|startoftext|>", "<|endoftext|>", *CHARACTERS, *(f"{letter}</w>" for letter in CHARACTERS)]
    return CLIPTokenizer({word: number for number, word in enumerate(words)}, merges=[], model_max_length=77)
