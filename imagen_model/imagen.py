"""Imagen: text in, picture out, as a transformers model.

A text encoder, whose states every stage reads for itself; a base stage (pixel decoder or denoising U-Net); and any
number of super-resolution stages. One folder holds them all.

Shapes: prompts become (batch, tokens) ids, the text encoder's and the Transformer encoder's states
(batch, tokens, hidden); to the pixel decoder a picture is (batch, side * side, 3) levels, row by row.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding, AutoTokenizer, PreTrainedModel
from transformers.utils import ModelOutput

from .best_of import Judge, find_judge
from .catalog import find_folder
from .config import ImagenConfig
from .denoiser_config import DEFAULT_STEPS, DenoiserConfig
from .denoising_unet import DenoisingUNet
from .pixel_decoder import PixelDecoder
from .quiet_loading import quiet_transformers
from .text import TextTransformer, build_text_encoder, text_encoder_config
from .user_calls import UserCalls


@dataclass
class ImagenOutput(ModelOutput):
    """Args:
    loss: mean cross-entropy of a value, in nats.
    logits: (batch, positions, 3, levels), float32.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None


class Imagen(UserCalls, PreTrainedModel):
    """Text encoder, base stage, super-resolution stages.

    A pixel decoder base is a `text_transformer` and a `decoder`, a denoising base a `denoiser`.
    """

    config_class = ImagenConfig
    base_model_prefix = "imagen"
    main_input_name = "input_ids"
    _supports_sdpa = True
    _no_split_modules = ["Block"]  # noqa: RUF012 (as the base class declares it)

    def __init__(self, config: ImagenConfig, tokenizer: Any = None) -> None:
        super().__init__(config)
        self.text_encoder = build_text_encoder(config)
        text_size = self.text_size = text_encoder_config(config).hidden_size
        if config.base_stage is None:
            self.text_transformer = TextTransformer(config, text_size)
            self.decoder = PixelDecoder(config)
        else:
            self.denoiser = DenoisingUNet(config.base_stage, text_size)
        if config.stages:
            self.super_resolution = nn.ModuleList(DenoisingUNet(stage, text_size) for stage in config.stages)
        self.tokenizer = tokenizer
        self.captioner: Any = None
        self.judge: Any = None
        self.post_init()

    @property
    def stages(self) -> list[DenoisingUNet]:
        """The super-resolution stages in order."""
        return list(getattr(self, "super_resolution", []))

    def put_stage(self, index: int, stage: DenoiserConfig) -> None:
        """Add an untrained super-resolution stage, or put it in the place of one.

        Raises:
            ValueError: it does not fit the sizes before and after it, or leaves a gap.
        """
        fields = list(self.config.super_resolution or [])
        if index > len(fields):
            raise ValueError(f"super_resolution[{index}] has no stage before it; there are {len(fields)} stages")
        self.config.super_resolution = [*fields[:index], dataclasses.asdict(stage), *fields[index + 1 :]]
        self.config.display_factor = 1
        self.config.sampling_defaults = {"num_inference_steps": DEFAULT_STEPS, **(self.config.sampling_defaults or {})}
        self.config.validate_architecture()
        net = DenoisingUNet(stage, self.text_size)
        net.apply(self._init_weights)
        self.super_resolution = nn.ModuleList([*self.stages[:index], net, *self.stages[index + 1 :]])

    def put_denoising_base(self, stage: DenoiserConfig) -> None:
        """Put an untrained denoising U-Net in the place of the base; the text encoder stays."""
        self.config.base, self.config.denoiser = "denoising_unet", dataclasses.asdict(stage)
        self.config.image_size = stage.image_size
        self.config.validate_architecture()
        for name in ("text_transformer", "decoder"):
            if hasattr(self, name):
                delattr(self, name)
        self.denoiser = DenoisingUNet(stage, self.text_size)
        self.denoiser.apply(self._init_weights)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            std = 0.02 if isinstance(module, nn.Embedding) else module.weight.shape[1] ** -0.5
            nn.init.normal_(module.weight, std=std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
            nn.init.ones_(module.weight)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(cast("Tensor", module.bias))

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *args: Any, **kwargs: Any) -> Imagen:  # type: ignore[override]
        """The model of that name, ready to generate, on the CPU in float32 unless told otherwise.

        Args:
            pretrained_model_name_or_path: a bundled model (`imagen-small`), a folder written by
                `save_pretrained`, or the hub id of one.

        Raises:
            ModelNotFound: there is none; the message says what can be given instead.
            ValueError: the weights do not fit the configuration; the message names the tensors.
        """
        folder = find_folder(str(pretrained_model_name_or_path))
        with quiet_transformers():
            # Mismatches are allowed through to the report, so that the error can name every tensor.
            loaded: Any = super().from_pretrained(
                folder,
                *args,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **kwargs,
            )
            model, report = loaded
            model.tokenizer = AutoTokenizer.from_pretrained(folder)
        wrong = {kind: sorted(map(str, names)) for kind, names in report.items() if names and kind.endswith("_keys")}
        if wrong:
            raise ValueError(f"the weights in {folder} do not fit its config.json: {wrong}")
        return cast("Imagen", model.eval())

    @classmethod
    def with_text_encoder(cls, name_or_folder: str, config: ImagenConfig) -> Imagen:
        """A new Imagen around a pretrained text encoder, which stays frozen.

        Args:
            name_or_folder: what transformers' `AutoTokenizer` and `AutoModel` take: BERT, T5, ...
        """
        encoder_config = AutoConfig.from_pretrained(name_or_folder)
        config.text_config = encoder_config.to_dict()
        config.train_text_encoder = False
        model = cls(config, AutoTokenizer.from_pretrained(name_or_folder))
        family = AutoModel if encoder_config.model_type == "bert" else AutoModelForTextEncoding
        options = {"add_pooling_layer": False} if encoder_config.model_type == "bert" else {}
        model.text_encoder = family.from_pretrained(name_or_folder, **options)
        model.text_encoder.requires_grad_(False)
        return model

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:  # type: ignore[override]
        """Configuration, tokenizer and safetensors weights in one folder, which `from_pretrained` takes."""
        with quiet_transformers():
            super().save_pretrained(save_directory, **kwargs)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(save_directory)
        judge = find_judge(self)
        if judge is not None:
            judge.save_pretrained(save_directory)

    def judge_by(self, judge: Judge) -> None:
        """Let a `ClipJudge` or `CaptionJudge` choose among `best_of` candidates; it is saved with the model."""
        self.judge, self.config.judge = judge, judge.name

    def text_states(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """(batch, tokens) ids and mask -> the text encoder's states (batch, tokens, text hidden), for all stages."""
        frozen = not self.config.train_text_encoder
        with torch.no_grad() if frozen else torch.enable_grad() if torch.is_grad_enabled() else torch.no_grad():
            return self.text_encoder(input_ids=input_ids, attention_mask=mask.long()).last_hidden_state

    def encode_text(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """(batch, tokens) ids and mask -> (batch, tokens, hidden) states for the pixel decoder."""
        return self.text_transformer(self.text_states(input_ids, mask), mask)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, pixels: Tensor) -> ImagenOutput:
        """Teacher forcing of a pixel decoder base.

        Args:
            input_ids, attention_mask: (batch, tokens).
            pixels: (batch, positions, 3) levels, int64, row by row.

        Raises:
            ValueError: the base is a denoising U-Net, which gives no probabilities of pixels.
        """
        if self.config.base_stage is not None:
            raise ValueError("a denoising_unet base gives no likelihood; use a model whose base is a pixel_decoder")
        mask = attention_mask.bool()
        logits = self.decoder(pixels, self.encode_text(input_ids, mask), mask)
        loss = F.cross_entropy(logits.flatten(0, 2), pixels.flatten())
        return ImagenOutput(loss=loss, logits=logits)

    # Between pictures and levels

    def levels_of(self, values: Tensor) -> Tensor:
        """uint8 of any shape -> int64 levels of that shape."""
        return values.long() * self.config.levels // 256

    def to_levels(self, pictures: Tensor) -> Tensor:
        """(batch, side, side, 3) uint8 -> (batch, side * side, 3) int64 levels."""
        return self.levels_of(pictures).flatten(1, 2)

    def to_pictures(self, levels: Tensor) -> np.ndarray:
        """(batch, side * side, 3) levels -> (batch, side, side, 3) uint8; the ends are black and white."""
        side = self.config.image_size
        return self.level_values().numpy()[levels.cpu().numpy()].astype(np.uint8).reshape(-1, side, side, 3)

    def level_values(self) -> Tensor:
        """(levels,) int64: the 8-bit value of each level."""
        steps = self.config.levels - 1
        return (torch.arange(self.config.levels) * 255 + steps // 2) // steps


AutoConfig.register(ImagenConfig.model_type, ImagenConfig)
AutoModel.register(ImagenConfig, Imagen)
