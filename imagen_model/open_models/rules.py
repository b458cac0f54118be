"""What a diffusers model takes, as `RequestRules`: from files alone, before any weight is read."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..generation import RequestRules, SizeRange
from .call_form import CallForm, call_form
from .fit import check_options
from .folder import Pipeline, UnusableModel, read_pipelines
from .options import ModelOptions

LARGEST = 2048  # pixels a side, or twice the model's own size
RATIOS = ((1, 1), (3, 2), (2, 3), (16, 9), (9, 16))


def read_model(
    folder: Path, place: str, options: ModelOptions, names: Collection[str] | None = None
) -> tuple[RequestRules, list[Pipeline], list[CallForm]]:
    """The rules, the pipelines and how each is called.

    Args:
        place: where the model lies, for messages.
        names: of the model's files, where the weights are not in the folder yet.

    Raises:
        UnusableModel: no model of this kind is loaded, or it does not fit the options.
        NotInstalled: diffusers is missing.
    """
    pipelines = read_pipelines(folder, place, names)
    forms = [call_form(pipeline, place, number > 0) for number, pipeline in enumerate(pipelines)]
    check_options(pipelines, forms, place, options)
    return rules_of(pipelines, forms), pipelines, forms


def rules_of(pipelines: list[Pipeline], forms: list[CallForm]) -> RequestRules:
    first = forms[0]
    defaults: dict[str, int | float] = {}
    if first.steps is not None:
        defaults["num_inference_steps"] = first.steps
    if first.guidance is not None:
        defaults["guidance_scale"] = first.guidance_scale
    sides = cascade_sides(pipelines, forms)
    return RequestRules(
        sizes=tuple((side, side) for side in sides) if sides else common_sizes(first),
        defaults=defaults,
        takes_negative_prompt=first.takes_negative,
        size_range=None if sides or not first.takes_size else size_range(first),
    )


def size_range(form: CallForm) -> SizeRange:
    return SizeRange(form.multiple, form.multiple, max(LARGEST, 2 * form.side) // form.multiple * form.multiple)


def common_sizes(form: CallForm) -> tuple[tuple[int, int], ...]:
    """The model's own size, the usual shapes of as many pixels, and half of it."""
    if not form.takes_size:
        return ((form.side, form.side),)
    found = []
    for wide, high in RATIOS:
        scale = form.side / (wide * high) ** 0.5
        sides = [max(1, round(part * scale / form.multiple)) * form.multiple for part in (wide, high)]
        found.append((sides[0], sides[1]))
    half = max(1, form.side // 2 // form.multiple) * form.multiple
    return tuple(dict.fromkeys([*found, (half, half)]))


def cascade_sides(pipelines: list[Pipeline], forms: list[CallForm]) -> list[int]:
    """Pixels a side after each stage, the last stage's first; empty for a single pipeline that takes sizes.

    An upscaler of latent pictures (Stable Diffusion's, by 4) states no size of its own.
    """
    if len(pipelines) == 1:
        return []
    sides = [forms[0].side]
    for pipeline in pipelines[1:]:
        latent = "vae" in pipeline.parts
        sides.append(4 * sides[-1] if latent else int(pipeline.config("unet").get("sample_size") or 4 * sides[-1]))
    if sides != sorted(set(sides)):
        raise UnusableModel(f"each stage of a cascade must make a larger picture, got {sides} pixels a side")
    return sides[::-1]
