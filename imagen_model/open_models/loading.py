"""A diffusers pipeline in memory: every weight from safetensors, every weight there, nothing of the model's run.

diffusers itself fills a weight that a file lacks with random numbers and says so in a log; here that is an error.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Read when CUDA's libraries start; without it their matrix products may differ from run to run.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch
from torch import nn

from .call_form import CallForm
from .folder import SAFETY_CHECKER, WATERMARKER, Part, Pipeline, UnusableModel, lora_file
from .options import ModelOptions
from .signature import scheduler_class

# Buffers that older files hold and newer classes compute.
COMPUTED = ("position_ids",)


def load_pipeline(
    pipeline: Pipeline, form: CallForm, options: ModelOptions, device: torch.device, shared: Mapping[str, Any]
) -> Any:
    """The pipeline on the device, ready to be called.

    Args:
        shared: components of an earlier stage, for those that this one's folder leaves out (text encoders).

    Raises:
        UnusableModel: a weight is missing, unknown or of another shape; an adapter does not fit.
    """
    import diffusers

    quiet()
    dtype = dtype_of(options, device)
    given: dict[str, Any] = {}
    left_out = switched_off(options)
    for part in pipeline.parts.values():
        if part.name not in left_out and part.weighty and (pipeline.folder / part.name / "config.json").is_file():
            given[part.name] = load_part(pipeline, part, dtype)
    for name, component in shared.items():
        # The checker of an earlier stage is run on the last picture by `run_stages`, whatever this stage's class.
        if name in pipeline.index and name not in pipeline.parts and name != SAFETY_CHECKER:
            given[name] = component
    given |= hooks_of(pipeline, form, options)
    kind = getattr(diffusers, form.class_name)
    made = kind.from_pretrained(str(pipeline.folder), dtype=dtype, local_files_only=True, **given)
    made.set_progress_bar_config(disable=True)
    if options.scheduler is not None:
        name = scheduler_class(options.scheduler, type(made.scheduler).__name__)
        made.scheduler = getattr(diffusers, name).from_config(made.scheduler.config)
    add_loras(made, options)
    return made


def switched_off(options: ModelOptions) -> set[str]:
    """Components that the options leave out."""
    checker = {SAFETY_CHECKER} if options.no_safety_checker else set()
    return checker if options.watermark else checker | {WATERMARKER}


def dtype_of(options: ModelOptions, device: torch.device) -> torch.dtype:
    if options.dtype is not None:
        found: torch.dtype = getattr(torch, options.dtype)
        return found
    return torch.float32 if device.type == "cpu" else torch.bfloat16


def load_part(pipeline: Pipeline, part: Part, dtype: torch.dtype) -> Any:
    library = part.library if part.library in {"diffusers", "transformers"} else f"diffusers.pipelines.{part.library}"
    kind = getattr(importlib.import_module(library), part.class_name, None)
    where = f"{pipeline.folder / part.name}"
    if kind is None:
        raise UnusableModel(f"{where} is a {part.class_name}, which {part.library} lacks here; install a newer one")
    settings: dict[str, Any] = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    if part.variant is not None:
        settings["variant"] = part.variant
    try:
        made, info = finished(kind).from_pretrained(where, dtype=dtype, **settings)
    except (OSError, ValueError, RuntimeError) as error:
        raise UnusableModel(f"{where} cannot be loaded ({error}); fetch the model again") from error
    check_whole(where, info)
    return made.eval()


def finished(kind: Any) -> Any:
    """The class; one of diffusers' own transformers models with the call that ends a constructor since transformers 5,
    which `IFSafetyChecker` lacks."""
    from transformers import PreTrainedModel

    if not issubclass(kind, PreTrainedModel) or not kind.__module__.startswith("diffusers."):
        return kind

    def begin(self: Any, *args: Any, **kwargs: Any) -> None:
        kind.__init__(self, *args, **kwargs)
        if not hasattr(self, "all_tied_weights_keys"):
            self.post_init()

    return type(kind.__name__, (kind,), {"__init__": begin, "__module__": kind.__module__})


def check_whole(where: str, info: Mapping[str, Any]) -> None:
    """Raises:
    UnusableModel: the file lacks a weight, has one that the network does not, or one of another shape.
    """
    troubles = {
        "lacks": list(info.get("missing_keys", ())),
        "has unknown": [key for key in info.get("unexpected_keys", ()) if not str(key).endswith(COMPUTED)],
        "has misshapen": list(info.get("mismatched_keys", ())),
    }
    for trouble, keys in troubles.items():
        if keys:
            shown = ", ".join(map(str, keys[:3]))
            raise UnusableModel(f"{where} {trouble} weights ({len(keys)}: {shown}); fetch the model again")


def hooks_of(pipeline: Pipeline, form: CallForm, options: ModelOptions) -> dict[str, Any]:
    """Safety checker and watermark as asked for, never as the environment happens to be."""
    given: dict[str, Any] = {}
    given |= dict.fromkeys(switched_off(options) & set(pipeline.index))
    if SAFETY_CHECKER in given:
        given["requires_safety_checker"] = False
    if form.class_name.startswith("StableDiffusionXL"):
        given["add_watermarker"] = options.watermark
    return given


def add_loras(made: Any, options: ModelOptions) -> None:
    """Merge the adapters into the weights, in order, so that they cost no time per picture."""
    for number, (path, weight) in enumerate(options.loras()):
        name = f"lora_{number}"
        try:
            file = lora_file(path)
            made.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=name, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError, AttributeError) as error:
            raise UnusableModel(f"the LoRA adapter {path} does not fit {type(made).__name__} ({error})") from error
        check_adapter(made, file, name)
        made.set_adapters([name], [weight])
        made.fuse_lora(adapter_names=[name])
        made.unload_lora_weights()


def check_adapter(made: Any, file: Path, name: str) -> None:
    """Every matrix of the file is in some layer; diffusers only logs those that it found no place for."""
    from safetensors import safe_open

    with safe_open(file, "pt") as held:
        keys = list(held.keys())
    matrices = sum(not key.endswith((".alpha", "dora_scale", ".bias")) for key in keys)
    networks = [component for component in made.components.values() if isinstance(component, nn.Module)]
    placed = sum(f".{name}." in key and "lora_" in key for net in networks for key in net.state_dict())
    if placed < matrices:
        raise UnusableModel(
            f"the LoRA adapter {file} does not fit {type(made).__name__}: {placed} of its {matrices} matrices have a "
            "place; use the model that it was trained for"
        )


def quiet() -> None:
    """Progress bars and advice of both libraries go nowhere; what matters is raised."""
    import diffusers.utils.logging as theirs
    import transformers.utils.logging as others

    for module in (theirs, others):
        module.set_verbosity_error()
        module.disable_progress_bar()
