"""The configuration of an Imagen: what is built, and with which defaults it samples."""

from __future__ import annotations

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .catalog import CAPTIONER
from .denoiser_config import DenoiserConfig

BASES = ("pixel_decoder", "denoising_unet")
DEFAULT_WORLD = "illustrations"
CLIP = "clip"  # the subfolder of one
JUDGES = (CLIP, CAPTIONER)  # what can choose among candidates


@strict
class ImagenConfig(PreTrainedConfig):
    """Sizes of the parts: text encoder, base stage, super-resolution stages.

    Args:
        base: "pixel_decoder" (a Transformer encoder and a masked Transformer decoder of pixels) or "denoising_unet".
        denoiser: fields of `DenoiserConfig` for a "denoising_unet" base.
        super_resolution: fields of `DenoiserConfig` for each further stage, in order; each starts from the size before.
        text_config: configuration of the text encoder, as transformers' own `to_dict()` writes it.
        train_text_encoder: whether the text encoder learns with the rest; a borrowed BERT or T5 stays frozen.
        max_text_tokens: tokens of a prompt, 1 to 512; a longer prompt is refused, never cut.
        image_size: side of the picture that the base draws, in pixels.
        levels: values that a channel can take, 2 to 256; 256 is the full range of 8 bits.
        hidden_size, num_layers, num_heads: of the decoder.
        encoder_layers: layers of the Transformer encoder between text encoder and decoder.
        feed_forward_size: inner width of the gated feed-forward blocks.
        neighbour_radius: how many pixels up, left and right the causal view of the neighbours reaches.
        pixel_embedding_size: width of a neighbour's embedding.
        display_factor: how much larger than the last stage makes it a picture is shown by default (a power of two);
            a new super-resolution stage sets it to 1.
        world: what it was trained on, a name of `imagen_model.worlds`; `imagegen evaluate` asks that world's questions.
        judge: what chooses among `best_of` candidates: "clip", the CLIP in the model's folder `clip/`, or "captioner",
            the captioner in `captioner/` with the teller in `teller/`; None leaves the choice to a pixel decoder's own
            likelihood.
        sampling_defaults: guidance_scale, temperature, top_k, top_p and, for diffusion, num_inference_steps where a
            request names none.
    """

    model_type = "imagen"

    base: str = "pixel_decoder"
    denoiser: dict[str, Any] | None = None
    super_resolution: list[dict[str, Any]] | None = None
    text_config: dict[str, Any] | None = None
    train_text_encoder: bool = True
    max_text_tokens: int = 96
    image_size: int = 16
    levels: int = 32
    hidden_size: int = 192
    num_layers: int = 6
    num_heads: int = 6
    encoder_layers: int = 1
    feed_forward_size: int = 512
    neighbour_radius: int = 6
    pixel_embedding_size: int = 16
    display_factor: int = 8
    world: str = DEFAULT_WORLD
    judge: str | None = None
    sampling_defaults: dict[str, Any] | None = None

    def validate_architecture(self) -> None:
        """Refuse sizes that do not fit together, naming the numbers."""
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size must be a multiple of num_heads, got {self.hidden_size} and {self.num_heads}"
            )
        if not 2 <= self.levels <= 256:
            raise ValueError(f"levels must be from 2 to 256, got {self.levels}")
        if not 1 <= self.max_text_tokens <= 512:
            raise ValueError(f"max_text_tokens must be from 1 to 512, got {self.max_text_tokens}")
        if self.neighbour_radius < 1:
            raise ValueError(f"neighbour_radius must be at least 1, got {self.neighbour_radius}")
        if self.base not in BASES:
            raise ValueError(f"base must be one of {', '.join(BASES)}, got {self.base!r}")
        if (self.base == "denoising_unet") != (self.denoiser is not None):
            raise ValueError(f"denoiser must be given for a denoising_unet base and only then, base is {self.base!r}")
        if self.judge not in (None, *JUDGES):
            raise ValueError(f"judge must be {', '.join(JUDGES)} or null, got {self.judge!r}")
        self.validate_cascade()

    def validate_cascade(self) -> None:
        base = self.base_stage
        if base is not None and (base.low_resolution_size is not None or base.image_size != self.image_size):
            raise ValueError(
                f"a base stage must have no low_resolution_size and image_size {self.image_size}, "
                f"got {base.low_resolution_size} and {base.image_size}"
            )
        before = self.image_size
        for index, stage in enumerate(self.stages):
            if stage.low_resolution_size != before:
                raise ValueError(
                    f"super_resolution[{index}] must start from the {before} pixels of the stage before it, "
                    f"its low_resolution_size is {stage.low_resolution_size}"
                )
            before = stage.image_size

    @property
    def base_stage(self) -> DenoiserConfig | None:
        """Of a "denoising_unet" base; None for a pixel decoder."""
        return None if self.denoiser is None else DenoiserConfig.of(self.denoiser)

    @property
    def stages(self) -> list[DenoiserConfig]:
        """The super-resolution stages in order."""
        return [DenoiserConfig.of(fields) for fields in self.super_resolution or []]
