"""A diffusers model on a disk, known by its `model_index.json`: its parts, and which of its files count.

Refused by name, before a weight is read: parts whose weights are not safetensors, and parts that bring code.
A cascade is a folder of folders, `stage_1` (which reads the prompt), `stage_2`, ... (which enlarge), each a pipeline.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from .signature import pipeline_modules

INDEX = "model_index.json"
STAGE = re.compile(rf"stage_([1-9])/{re.escape(INDEX)}")
FIRST_STAGE = f"stage_1/{INDEX}"
SMALL = {".json", ".txt", ".model", ".jinja"}  # configurations, tokenizers, chat templates
UNSAFE = {".bin", ".ckpt", ".pt", ".pth", ".pkl", ".msgpack", ".h5", ".onnx"}
SAFE = ".safetensors"
# diffusers' names: model.fp16.safetensors, model.fp16-00001-of-00002.safetensors, model.safetensors.index.fp16.json
VARIANT = re.compile(r"[^.]+\.(\w+)(-\d+-of-\d+)?\.safetensors|[^.]+\.safetensors\.index\.(\w+)\.json")
PREFERRED = ("fp16", "bf16")  # variants, where there are several and no plain weights
# Ends of the names of components without weights; their folders may hold a config.json all the same.
WEIGHTLESS = ("Tokenizer", "TokenizerFast", "Processor", "FeatureExtractor", "Scheduler")

SAFETY_CHECKER, WATERMARKER = "safety_checker", "watermarker"
OPTIONAL = (SAFETY_CHECKER, WATERMARKER)  # components that options leave out


class UnusableModel(ValueError):
    """A diffusers model that this program does not load; the message says which part, why, and what helps."""


@dataclass(frozen=True)
class Part:
    """A component that `model_index.json` names.

    Args:
        library: diffusers, transformers or the module of one of diffusers' pipelines.
        variant: of its weight files, where no plain ones are there: "fp16", "bf16".
        loadable: whether its weights are safetensors; only those of `OPTIONAL` may be others.
    """

    name: str
    library: str
    class_name: str
    config: dict[str, Any]
    variant: str | None = None
    loadable: bool = True

    @property
    def weighty(self) -> bool:
        return has_weights(self.class_name)


@dataclass(frozen=True)
class Pipeline:
    """One pipeline's folder: its `model_index.json`, and the components that are there."""

    folder: Path
    class_name: str
    index: dict[str, Any]
    parts: dict[str, Part] = field(default_factory=dict)

    def config(self, name: str) -> dict[str, Any]:
        """The configuration of a component; empty where there is none."""
        return self.parts[name].config if name in self.parts else {}


def is_diffusers(names: Collection[str]) -> bool:
    """Whether files of these names, with `/`, are a diffusers model's."""
    return INDEX in names or FIRST_STAGE in names


def stages_of(names: Collection[str]) -> list[str]:
    """Prefixes of the pipelines among a model's files, in order: [""], or ["stage_1/", "stage_2/"]."""
    if INDEX in names:
        return [""]
    found = sorted(name.removesuffix(INDEX) for name in names if STAGE.fullmatch(name))
    if not found:
        raise UnusableModel(f"there is neither {INDEX} nor {FIRST_STAGE}; fetch the model again")
    wanted = [f"stage_{number}/" for number in range(1, len(found) + 1)]
    if found != wanted:
        raise UnusableModel(f"a cascade's folders must be stage_1, stage_2, ... without a gap, got: {', '.join(found)}")
    return found


def wanted_files(names: Collection[str], indexes: dict[str, dict[str, Any]], place: str) -> list[str]:
    """Those of a model's files that its pipelines load, in order.

    Args:
        names: of all that is there.
        indexes: each pipeline's `model_index.json`, by its prefix.
        place: where the model lies, for messages.

    Raises:
        UnusableModel: a part has no safetensors, though no option leaves it out; or it brings code.
    """
    kept: list[str] = []
    for prefix, index in indexes.items():
        kept.append(prefix + INDEX)
        for part, (library, class_name) in components(index, place).items():
            if library not in {"diffusers", "transformers"} and library not in pipeline_modules():
                raise UnusableModel(
                    f"{place}: {prefix}{part} is of the module {library!r:.60}, which is code that the model brings; "
                    "no code of a model is run: use one whose parts are diffusers' and transformers' own"
                )
            inside = [name for name in names if name.startswith(f"{prefix}{part}/")]
            if not inside:
                raise UnusableModel(f"{place}: the folder of {prefix}{part} ({class_name}) is missing; fetch it too")
            kept += part_files(inside, f"{prefix}{part}", class_name, place, part not in OPTIONAL)
    return sorted(kept, key=lambda name: PurePosixPath(name).parts)


def components(index: dict[str, Any], place: str) -> dict[str, tuple[str, str]]:
    """Library and class of each component that is there."""
    if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
        raise UnusableModel(f"the {INDEX} of {place} names no pipeline class of diffusers; fetch the model again")
    found = {}
    for name, value in index.items():
        if not name.startswith("_") and isinstance(value, list) and len(value) == 2 and value[0] is not None:
            found[name] = (str(value[0]), str(value[1]))
    return found


def has_weights(class_name: str) -> bool:
    """Whether a component of this class is a network."""
    return not class_name.endswith(WEIGHTLESS)


def variant_of(name: str) -> str | None:
    """Of a weight file, or of the index of several; None where its name states none."""
    match = VARIANT.fullmatch(PurePosixPath(name).name)
    return None if match is None else match[1] or match[3]


def part_files(names: Iterable[str], part: str, class_name: str, place: str, needed: bool = True) -> list[str]:
    """Configurations and weights of one part, plain or of one variant.

    Args:
        needed: no option leaves the part out.
    """
    small: list[str] = []
    plain: list[str] = []
    unsafe: list[str] = []
    variants: dict[str, list[str]] = {}
    for name in names:
        file = PurePosixPath(name)
        variant = variant_of(name)
        if variant is not None:
            variants.setdefault(variant, []).append(name)
        elif file.suffix == SAFE:
            plain.append(name)
        elif file.suffix in SMALL:
            small.append(name)
        elif file.suffix in UNSAFE:
            unsafe.append(name)
    if not has_weights(class_name):
        return small
    chosen = plain or variants.get(choose_variant(variants, part, place), [])
    weighty = f"{part}/config.json" in names
    if needed and not any(name.endswith(SAFE) for name in chosen) and (unsafe or weighty):
        held = ", ".join(sorted(PurePosixPath(name).name for name in unsafe)[:3]) or "no weights"
        raise UnusableModel(
            f"{place}: {part} holds {held}, but no safetensors; pickled weights can run code and are not loaded: use a "
            "revision with safetensors, or convert it with DiffusionPipeline.save_pretrained"
        )
    return small + chosen


def choose_variant(variants: Collection[str], part: str, place: str) -> str:
    """The only one, or the one that is usually meant; "" where there is none."""
    found = next((one for one in PREFERRED if one in variants), None)
    if found is None and len(variants) > 1:
        raise UnusableModel(
            f"{place}: {part} holds its weights only as {', '.join(sorted(variants))}, and which one is meant? "
            "load the one you want with diffusers' variant=... and save it with save_pretrained"
        )
    return found or next(iter(variants), "")


def read_pipelines(folder: Path, place: str, names: Collection[str] | None = None) -> list[Pipeline]:
    """The pipeline of a model's folder, or the pipelines of a cascade's.

    Args:
        names: of the model's files, where the weights are not in the folder yet.

    Raises:
        UnusableModel: see `wanted_files`; or a file cannot be read.
        NotInstalled: diffusers is missing.
    """
    names = file_names(folder) if names is None else names
    indexes = {prefix: read_json(folder / prefix / INDEX) for prefix in stages_of(names)}
    kept = wanted_files(names, indexes, place)
    found = []
    for prefix, index in indexes.items():
        parts = {}
        for part, (library, class_name) in components(index, place).items():
            configs = [folder / prefix / part / name for name in ("config.json", "scheduler_config.json")]
            config = next((read_json(path) for path in configs if path.is_file()), {})
            start = f"{prefix}{part}/"
            weights = [name.removeprefix(start) for name in kept if name.startswith(start) and name.endswith(SAFE)]
            variant = variant_of(weights[0]) if weights else None
            parts[part] = Part(part, library, class_name, config, variant, part not in OPTIONAL or bool(weights))
        found.append(Pipeline(folder / prefix, str(index["_class_name"]), index, parts))
    return found


def check_here(folder: str) -> None:
    """Raises:
    UnusableModel: this node does not have the folder, though the driver has.
    """
    if not Path(folder).is_dir():
        raise UnusableModel(
            f"there is no folder {folder} on {socket.gethostname()}; put the model where every node sees it under the "
            "same path, or give it as a URL or a hub id"
        )


def file_names(folder: Path) -> list[str]:
    """Of every file in a folder, with `/`."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def model_files(folder: Path, place: str) -> list[str]:
    """The files of a model's folder that decide what a picture looks like. Raises as `read_pipelines`."""
    names = file_names(folder)
    return wanted_files(names, {prefix: read_json(folder / prefix / INDEX) for prefix in stages_of(names)}, place)


def read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UnusableModel(f"{path} cannot be read ({error}); fetch the model again") from error
    if not isinstance(values, dict):
        raise UnusableModel(f"{path} holds no JSON object; fetch the model again")
    return values


def lora_file(path: str) -> Path:
    """The one safetensors file that a LoRA's path means.

    Raises:
        UnusableModel: there is none, or more than one.
    """
    place = Path(path).expanduser()
    found = [place] if place.suffix == ".safetensors" and place.is_file() else sorted(place.glob("*.safetensors"))
    if len(found) != 1:
        what = f"{len(found)} safetensors files" if found else "no safetensors file"
        raise UnusableModel(
            f"lora {path}: there is {what} on {socket.gethostname()}; give the path of one, which every node sees"
        )
    return found[0]
