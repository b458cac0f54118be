"""Whether a model takes the options it is given: from its files and diffusers' source, before any weight is read.

An option that would change nothing is refused as well: it would be pinned, and give the same pictures another revision.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from .call_form import CallForm
from .folder import Part, Pipeline, UnusableModel
from .options import ModelOptions
from .signature import check_seeded, scheduler_class

WATERMARK_PACKAGE = "imwatermark"  # the module of invisible-watermark, which SDXL's pipelines import


def check_options(pipelines: Sequence[Pipeline], forms: Sequence[CallForm], place: str, options: ModelOptions) -> None:
    """Raises:
    UnusableModel: an option does not fit, or no option makes the model's noise a row's own.
    """
    if options.lora and not forms[0].lora:
        raise UnusableModel(f"{forms[0].class_name} takes no LoRA adapters; leave lora out")
    if options.compile and forms[0].pads_to_longest:
        raise UnusableModel(
            f"{forms[0].class_name} runs prompts of every length in a shape of their own, and each would be compiled "
            "for minutes; leave compile out"
        )
    check_schedulers(pipelines, place, options)
    check_parts(pipelines, forms[0].class_name, options)
    if options.watermark:
        check_watermark(pipelines, forms)


def check_schedulers(pipelines: Sequence[Pipeline], place: str, options: ModelOptions) -> None:
    for number, pipeline in enumerate(pipelines):
        own = pipeline.parts.get("scheduler", Part("", "", "none", {}))
        try:
            if number == 0 and options.scheduler is not None:
                scheduler_class(options.scheduler, own.class_name, str(own.config.get("prediction_type", "epsilon")))
            else:
                check_seeded(own.class_name)
        except ValueError as error:
            raise UnusableModel(f"{place}: {error}") from None


def check_parts(pipelines: Sequence[Pipeline], name: str, options: ModelOptions) -> None:
    """Settings that are about one part of a pipeline: it must be there."""
    wanted = {
        "attention_slicing": (options.attention_slicing, "unet", "U-Net, and only a U-Net's attention can be sliced"),
        "vae_tiling": (options.vae_tiling, "vae", "autoencoder that decodes in tiles"),
        "no_safety_checker": (options.no_safety_checker, "safety_checker", "safety checker to leave out"),
    }
    for option, (given, part, what) in wanted.items():
        if given and not any(part in pipeline.parts for pipeline in pipelines):
            raise UnusableModel(f"{name} has no {what}; leave {option} out")


def check_watermark(pipelines: Sequence[Pipeline], forms: Sequence[CallForm]) -> None:
    own = any("watermarker" in pipeline.parts for pipeline in pipelines)
    drawn = any(form.class_name.startswith("StableDiffusionXL") for form in forms)
    if not own and not drawn:
        raise UnusableModel(f"{forms[0].class_name} has no invisible watermark; leave watermark out")
    if drawn and importlib.util.find_spec(WATERMARK_PACKAGE) is None:
        raise UnusableModel(
            f"the watermark of {forms[0].class_name} needs a package that is not installed; install it with: pip "
            "install invisible-watermark; or leave watermark out"
        )
