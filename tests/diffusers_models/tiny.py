"""Diffusers pipelines of a few thousand random parameters, written to disk by diffusers' own classes, tokenizers too.

Each function writes one model folder. Shapes are those of the real families; only their sizes are small.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLQwenImage,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    IFPipeline,
    IFSuperResolutionPipeline,
    Lumina2Pipeline,
    Lumina2Transformer2DModel,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Gemma2Config,
    Gemma2Model,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

WIDTH = 8  # of every attention head and text state
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def clip_tokenizer(pad: str = "<|endoftext|>") -> CLIPTokenizer:
    """A letter a token."""
    words = ["<|startoftext|>", "<|endoftext|>", "!", ",", ".", *LETTERS, *(f"{one}</w>" for one in LETTERS + "!,.")]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77, pad_token=pad)


def clip_text(projection: bool = False, seed: int = 0) -> CLIPTextModel | CLIPTextModelWithProjection:
    config = CLIPTextConfig(
        vocab_size=96,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_attention_heads=1,
        num_hidden_layers=2,
        projection_dim=WIDTH,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    torch.manual_seed(seed)
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)


def word_tokenizer(limit: int = 512, **special: str) -> PreTrainedTokenizerFast:
    """A letter a token, ended by `</s>`, as the tokenizers of T5, Gemma and Qwen are loaded: from tokenizer.json."""
    words = ["<pad>", "</s>", "<unk>", "<bos>", *LETTERS, " ", ",", ".", *map(chr, range(0x41, 0x5B))]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=limit,
        **special,
    )


def t5_text(kind: Any = T5EncoderModel, config: Any = T5Config, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return kind(config(vocab_size=96, d_model=WIDTH, d_kv=WIDTH, d_ff=16, num_layers=1, num_heads=1))


def unet(**changes: Any) -> UNet2DConditionModel:
    settings: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (4, 8),
        "layers_per_block": 1,
        "norm_num_groups": 2,
        "attention_head_dim": 4,
        "cross_attention_dim": WIDTH,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }
    torch.manual_seed(0)
    return UNet2DConditionModel(**{**settings, **changes})


def vae(channels: int = 4, blocks: int = 2, **changes: Any) -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(4,) * blocks,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        latent_channels=channels,
        norm_num_groups=2,
        sample_size=16,
        **changes,
    )


def stable_diffusion(folder: Path, **changes: Any) -> None:
    """SD 1.x: 16x16 pictures in steps of 2 pixels."""
    parts = {
        "unet": unet(),
        "vae": vae(),
        "text_encoder": clip_text(),
        "tokenizer": clip_tokenizer(),
        "scheduler": DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
        "safety_checker": None,
        "feature_extractor": None,
    }
    pipeline = StableDiffusionPipeline(**{**parts, **changes}, requires_safety_checker=False)
    pipeline.save_pretrained(folder)


def stable_diffusion_turbo(folder: Path) -> None:
    """SD-Turbo: SD 2's U-Net with a distilled model's scheduler."""
    stable_diffusion(
        folder,
        unet=unet(use_linear_projection=True),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", timestep_spacing="trailing"),
    )


def stable_diffusion_xl(folder: Path) -> None:
    StableDiffusionXLPipeline(
        unet=unet(
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=6 * 4 + WIDTH,
            cross_attention_dim=2 * WIDTH,
            transformer_layers_per_block=1,
        ),
        vae=vae(),
        text_encoder=clip_text(),
        text_encoder_2=clip_text(projection=True, seed=1),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear"),
        add_watermarker=False,
    ).save_pretrained(folder)


def stable_diffusion_3(folder: Path) -> None:
    torch.manual_seed(0)
    StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            attention_head_dim=WIDTH,
            num_attention_heads=1,
            joint_attention_dim=2 * WIDTH,
            caption_projection_dim=WIDTH,
            pooled_projection_dim=2 * WIDTH,
            pos_embed_max_size=16,
        ),
        vae=vae(shift_factor=0.06),
        text_encoder=clip_text(projection=True),
        text_encoder_2=clip_text(projection=True, seed=1),
        text_encoder_3=t5_text(config=lambda **kw: T5Config(**{**kw, "d_model": 2 * WIDTH})),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        tokenizer_3=word_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)


def flux(folder: Path, guidance: bool = True) -> None:
    """FLUX.1-dev, or with `guidance` off FLUX.1-schnell, whose guidance was distilled away."""
    torch.manual_seed(0)
    FluxPipeline(
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=1,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            axes_dims_rope=(4, 4, 8),
            guidance_embeds=guidance,
        ),
        vae=vae(shift_factor=0.06),
        text_encoder=clip_text(),
        text_encoder_2=t5_text(),
        tokenizer=clip_tokenizer(),
        tokenizer_2=word_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)


def flux_schnell(folder: Path) -> None:
    flux(folder, guidance=False)


def pixart(folder: Path) -> None:
    torch.manual_seed(0)
    PixArtSigmaPipeline(
        transformer=PixArtTransformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            out_channels=8,
            num_layers=1,
            num_attention_heads=1,
            attention_head_dim=WIDTH,
            cross_attention_dim=WIDTH,
            caption_channels=WIDTH,
            norm_num_groups=1,
            use_additional_conditions=False,
        ),
        vae=vae(),
        text_encoder=t5_text(),
        tokenizer=word_tokenizer(),
        scheduler=DPMSolverMultistepScheduler(),
    ).save_pretrained(folder)


def sana(folder: Path, scheduler: Any = None) -> None:
    torch.manual_seed(0)
    gemma = Gemma2Config(
        vocab_size=96,
        hidden_size=WIDTH,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=WIDTH,
    )
    SanaPipeline(
        transformer=SanaTransformer2DModel(
            sample_size=8,
            patch_size=1,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            num_attention_heads=1,
            attention_head_dim=WIDTH,
            num_cross_attention_heads=1,
            cross_attention_head_dim=WIDTH,
            cross_attention_dim=WIDTH,
            caption_channels=WIDTH,
        ),
        vae=AutoencoderDC(
            in_channels=3,
            latent_channels=4,
            attention_head_dim=2,
            encoder_block_types=("ResBlock", "EfficientViTBlock"),
            decoder_block_types=("ResBlock", "EfficientViTBlock"),
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_qkv_multiscales=((), (5,)),
            decoder_qkv_multiscales=((), (5,)),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            decoder_norm_types="rms_norm",
            decoder_act_fns="silu",
            scaling_factor=0.41407,
        ),
        text_encoder=Gemma2Model(gemma),
        tokenizer=word_tokenizer(padding_side="right"),
        scheduler=scheduler or FlowMatchEulerDiscreteScheduler(shift=3.0),
    ).save_pretrained(folder)


def sana_flow(folder: Path) -> None:
    """With the scheduler that the published ones bring."""
    sana(folder, DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0))


def qwen_image(folder: Path) -> None:
    torch.manual_seed(0)
    text = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
            "rope_theta": 1000000.0,
            "vocab_size": 96,
        },
        vision_config={"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16},
        hidden_size=16,
        vocab_size=96,
    )
    QwenImagePipeline(
        transformer=QwenImageTransformer2DModel(
            patch_size=2,
            in_channels=16,
            out_channels=4,
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=1,
            joint_attention_dim=16,
            axes_dims_rope=(8, 4, 4),
        ),
        vae=AutoencoderKLQwenImage(
            base_dim=4,
            z_dim=4,
            dim_mult=[1, 1],
            num_res_blocks=1,
            temperal_downsample=[False],
            latents_mean=[0.0] * 4,
            latents_std=[1.0] * 4,
        ),
        text_encoder=Qwen2_5_VLForConditionalGeneration(text),
        tokenizer=word_tokenizer(2048),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)


def aura_flow(folder: Path) -> None:
    torch.manual_seed(0)
    AuraFlowPipeline(
        transformer=AuraFlowTransformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_mmdit_layers=1,
            num_single_dit_layers=1,
            attention_head_dim=WIDTH,
            num_attention_heads=1,
            caption_projection_dim=WIDTH,
            joint_attention_dim=WIDTH,
            pos_embed_max_size=256,
        ),
        vae=vae(),
        text_encoder=t5_text(UMT5EncoderModel, UMT5Config),
        tokenizer=word_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)


def lumina(folder: Path) -> None:
    torch.manual_seed(0)
    gemma = Gemma2Config(
        vocab_size=96,
        hidden_size=WIDTH,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=WIDTH,
    )
    Lumina2Pipeline(
        transformer=Lumina2Transformer2DModel(
            sample_size=4,
            patch_size=2,
            in_channels=4,
            hidden_size=WIDTH,
            num_layers=1,
            num_refiner_layers=1,
            num_attention_heads=1,
            num_kv_heads=1,
            multiple_of=8,
            axes_dim_rope=(4, 2, 2),
            axes_lens=(600, 64, 64),
            cap_feat_dim=WIDTH,
        ),
        vae=vae(blocks=4, shift_factor=0.06),
        text_encoder=Gemma2Model(gemma),
        tokenizer=word_tokenizer(padding_side="right"),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)


def pixel_unet(side: int, **changes: Any) -> UNet2DConditionModel:
    settings: dict[str, Any] = {
        "sample_size": side,
        "in_channels": 3,
        "out_channels": 6,
        "encoder_hid_dim": WIDTH,
        "encoder_hid_dim_type": "text_proj",
        "down_block_types": ("DownBlock2D", "SimpleCrossAttnDownBlock2D"),
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "up_block_types": ("SimpleCrossAttnUpBlock2D", "UpBlock2D"),
    }
    return unet(**{**settings, **changes})


def deepfloyd_if(folder: Path) -> None:
    """Three stages in one folder: 8 to 16 to 32 pixels."""
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="learned_range", thresholding=True)
    common: dict[str, Any] = {
        "text_encoder": t5_text(),
        "tokenizer": word_tokenizer(77),
        "scheduler": scheduler,
        "safety_checker": None,
        "feature_extractor": None,
        "watermarker": None,
        "requires_safety_checker": False,
    }
    IFPipeline(unet=pixel_unet(8), **common).save_pretrained(folder / "stage_1")
    for number, side in ((2, 16), (3, 32)):
        upscaler = pixel_unet(side, in_channels=6, class_embed_type="timestep")
        image_noising = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
        IFSuperResolutionPipeline(unet=upscaler, image_noising_scheduler=image_noising, **common).save_pretrained(
            folder / f"stage_{number}"
        )


FAMILIES: dict[str, Callable[[Path], None]] = {
    "stable_diffusion": stable_diffusion,
    "stable_diffusion_turbo": stable_diffusion_turbo,
    "stable_diffusion_xl": stable_diffusion_xl,
    "stable_diffusion_3": stable_diffusion_3,
    "flux": flux,
    "flux_schnell": flux_schnell,
    "pixart": pixart,
    "sana": sana,
    "sana_flow": sana_flow,
    "qwen_image": qwen_image,
    "aura_flow": aura_flow,
    "lumina": lumina,
    "deepfloyd_if": deepfloyd_if,
}
