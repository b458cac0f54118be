"""The options of diffusers models as settings name them, once for job files and for the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from imagen_model.open_models.options import MAX_MICRO_BATCH, ModelOptions

Text = Annotated[str, StringConstraints(min_length=1)]


class ModelOptionFields(BaseModel):
    """To be inherited. What each means, and what None is, `ModelOptions` says; it checks them again."""

    lora: Sequence[Text] = Field(
        default=(), description="LoRA adapters, PATH or PATH=WEIGHT. For diffusers models, as these:"
    )
    scheduler: Text | None = Field(
        default=None, description="Such as euler, dpm++ or a class of diffusers; default its own."
    )
    dtype: Literal["float32", "bfloat16", "float16"] | None = Field(default=None, description="Default by the device.")
    micro_batch: Annotated[int, Field(ge=1, le=MAX_MICRO_BATCH)] | Literal["auto"] | None = Field(
        default=None,
        description="Rows that a network runs on, always; part of the plan. auto measures which is best, once.",
    )
    attention_slicing: bool = Field(default=False, description="Less memory, slower.")
    vae_tiling: bool | None = Field(default=None, description="Decode in tiles; default only above 4 megapixels.")
    offload: Literal["model", "sequential"] | None = Field(
        default=None, description="Weights wait in the CPU's memory."
    )
    compile: bool = Field(default=False, description="Compile the network's repeated blocks.")
    fast: bool = Field(default=False, description="Fastest kernels; last bits may differ between runs.")
    long_prompts: Literal["refuse", "truncate"] | None = Field(
        default=None, description="What happens to a prompt that no text encoder reads whole; default refuse."
    )
    no_safety_checker: bool = Field(default=False, description="Leave the model's safety checker out.")
    watermark: bool = Field(default=False, description="The pipeline's own invisible watermark.")

    def options(self) -> ModelOptions:
        """Raises:
        InvalidRequest: one of them is out of range.
        """
        return ModelOptions(**{name: getattr(self, name) for name in ModelOptionFields.model_fields})
