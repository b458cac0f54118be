"""The published Imagen's sizes (arXiv 2205.11487, section 4.1 and appendix F) as a configuration of this package.

T5-XXL reads the prompt, a 64x64 base and two super-resolution stages draw it. Google published neither weights nor
code: this is for those who train their own. On the `meta` device it is built in seconds, without memory:

    with torch.device("meta"):
        Imagen(published_config())
"""

from __future__ import annotations

import dataclasses
from typing import Any

from .config import ImagenConfig
from .denoiser_config import DenoiserConfig

# Parameters as the paper states them, rounded there: text encoder, base, 64 -> 256, 256 -> 1024.
PUBLISHED_PARAMETERS = {
    "text_encoder": 4.6e9,
    "denoiser": 2.0e9,
    "super_resolution.0": 600e6,
    "super_resolution.1": 400e6,
}

T5_XXL: dict[str, Any] = {
    "model_type": "t5",
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}

NEVER = (False, False, False, False)
LOWEST = (False, False, False, True)

BASE_64 = DenoiserConfig(
    image_size=64,
    channels=(512, 1024, 1536, 2048),
    blocks=(3, 3, 3, 3),
    strides=(1, 2, 2, 2),
    self_attention=(False, True, True, True),
    text_attention=(False, True, True, True),
    head_size=64,
    embedding_size=2048,
    text_size=2048,
    threshold=0.995,
)
# The efficient U-Nets: parameters at the low resolutions, every level downsampled before its convolutions.
TO_256 = DenoiserConfig(
    image_size=256,
    low_resolution_size=64,
    channels=(128, 256, 512, 1024),
    blocks=(2, 4, 8, 8),
    strides=(2, 2, 2, 2),
    self_attention=LOWEST,
    text_attention=LOWEST,
    attention_after="level",
    head_size=64,
    embedding_size=512,
    text_size=1024,
    threshold=0.995,
    guidance_scale=8.0,
    augmentation=0.2,
)
# Trained on crops of 256, so without self-attention, which would see another number of cells when sampling.
TO_1024 = dataclasses.replace(
    TO_256, image_size=1024, low_resolution_size=256, blocks=(2, 4, 4, 6), self_attention=NEVER
)


def published_config() -> ImagenConfig:
    """The whole cascade; the text encoder stays frozen, its 256 tokens are the paper's limit."""
    return ImagenConfig(
        base="denoising_unet",
        image_size=64,
        denoiser=dataclasses.asdict(BASE_64),
        super_resolution=[dataclasses.asdict(TO_256), dataclasses.asdict(TO_1024)],
        text_config=T5_XXL,
        train_text_encoder=False,
        max_text_tokens=256,
        display_factor=1,
        sampling_defaults={"guidance_scale": 7.0, "num_inference_steps": 32},
    )
