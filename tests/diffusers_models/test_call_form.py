"""What is taken for distilled: by a model's own files, of the shapes that published models have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagen_model.catalog import find_model
from imagen_model.generation import GenerationRequest
from imagen_model.open_models.call_form import CallForm, call_form
from imagen_model.open_models.folder import Part, Pipeline

TRAILING = {"timestep_spacing": "trailing"}


def form_of(kind: str, index: dict[str, Any], guidance_embeds: bool | None = None, **scheduler: Any) -> CallForm:
    """Of a pipeline whose index and configurations say this."""
    network = {} if guidance_embeds is None else {"guidance_embeds": guidance_embeds}
    parts = {
        "transformer": Part("transformer", "diffusers", "Transformer", network),
        "scheduler": Part("scheduler", "diffusers", "EulerDiscreteScheduler", scheduler),
    }
    return call_form(Pipeline(Path(), kind, {"_class_name": kind, **index}, parts), "here")


@pytest.mark.parametrize(
    ("form", "guidance", "scale", "steps", "tokens"),
    [
        (form_of("FluxPipeline", {}, guidance_embeds=False), None, 1.0, 4, 256),
        (form_of("FluxPipeline", {}, guidance_embeds=True), "guidance_scale", 3.5, 28, 512),
        (form_of("Flux2KleinPipeline", {"is_distilled": True}, guidance_embeds=False), None, 1.0, 4, 512),
        (form_of("Flux2KleinPipeline", {"is_distilled": False}, guidance_embeds=False), "guidance_scale", 4.0, 50, 512),
        (form_of("StableDiffusionXLPipeline", {}, **TRAILING), "guidance_scale", 0.0, 4, None),
        (
            form_of("StableDiffusionXLPipeline", {}, rescale_betas_zero_snr=True, **TRAILING),
            "guidance_scale",
            5.0,
            50,
            None,
        ),
    ],
)
def test_guidance_steps_and_tokens(
    form: CallForm, guidance: str | None, scale: float, steps: int, tokens: int | None
) -> None:
    assert (form.guidance, form.guidance_scale, form.steps, form.max_tokens) == (guidance, scale, steps, tokens)
    assert ("guidance_scale" in form.fixed) == (guidance is None)


def test_a_scheduler_changes_defaults_and_refuses_nothing(model: Callable[[str], Path]) -> None:
    rules = find_model(str(model("stable_diffusion_turbo"))).rules
    plain = rules.resolve(GenerationRequest("a", 1))
    assert (plain.num_inference_steps, plain.guidance_scale) == (4, 0.0)
    given = GenerationRequest("a", 1, guidance_scale=5.0, num_inference_steps=30, negative_prompt="blur")
    assert rules.resolve(given).guidance_scale == 5.0
