"""Whether a model takes the options it is given: from its files and diffusers' source, before any weight is read.

An option that would change nothing is refused as well: it would be pinned, and give the same pictures another revision.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from .call_form import CallForm
from .folder import SAFETY_CHECKER, WATERMARKER, Part, Pipeline, UnusableModel
from .options import ModelOptions
from .signature import INSTALL, check_seeded, scheduler_class

SENTENCEPIECE = "*.model"  # files of tokenizers that transformers reads through sentencepiece and protobuf
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
    check_tokenizers(pipelines)
    check_parts(pipelines, forms[0].class_name, options)
    alone = [form.class_name for form in forms if not form.batched]
    if alone and isinstance(options.micro_batch, int) and options.micro_batch > 1:
        raise UnusableModel(
            f"rows of {alone[0]} are run one by one, for it is not tested that they leave each other alone; leave "
            "micro_batch out, or 1"
        )
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


def check_tokenizers(pipelines: Sequence[Pipeline]) -> None:
    lacking = [name for name in ("sentencepiece", "google.protobuf") if not is_there(name)]
    for folder in (pipeline.folder / name for pipeline in pipelines for name in pipeline.parts if lacking):
        if not (folder / "tokenizer.json").is_file() and any(folder.glob(SENTENCEPIECE)):
            raise UnusableModel(f"{folder} is read through {' and '.join(lacking)}; install it with: {INSTALL}")


def is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that holds it is missing
        return False


def check_parts(pipelines: Sequence[Pipeline], name: str, options: ModelOptions) -> None:
    """Settings that are about one part of a pipeline: it must be there."""
    wanted = {
        "attention_slicing": (options.attention_slicing, "unet", "U-Net, and only a U-Net's attention can be sliced"),
        "vae_tiling": (options.vae_tiling, "vae", "autoencoder that decodes in tiles"),
        "no_safety_checker": (options.no_safety_checker, SAFETY_CHECKER, "safety checker to leave out"),
    }
    for option, (given, part, what) in wanted.items():
        if given and not any(part in pipeline.parts for pipeline in pipelines):
            raise UnusableModel(f"{name} has no {what}; leave {option} out")
    kept = {SAFETY_CHECKER: not options.no_safety_checker, WATERMARKER: options.watermark}
    for pipeline in pipelines:
        for found in pipeline.parts.values():
            if not found.loadable and kept[found.name]:
                remedy = "--no-safety-checker" if found.name == SAFETY_CHECKER else "no --watermark"
                raise UnusableModel(
                    f"{pipeline.folder / found.name} holds no safetensors; pickled weights can run code and are not "
                    f"loaded: use a revision with safetensors, or give {remedy}"
                )


def check_watermark(pipelines: Sequence[Pipeline], forms: Sequence[CallForm]) -> None:
    own = any(WATERMARKER in pipeline.parts for pipeline in pipelines)
    drawn = any(form.class_name.startswith("StableDiffusionXL") for form in forms)
    if not own and not drawn:
        raise UnusableModel(f"{forms[0].class_name} has no invisible watermark; leave watermark out")
    if drawn and not is_there(WATERMARK_PACKAGE):
        raise UnusableModel(
            f"the watermark of {forms[0].class_name} needs a package that is not installed; install it with: pip "
            "install invisible-watermark; or leave watermark out"
        )
