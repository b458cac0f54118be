"""How a diffusers model is to be run, as its user says it. Nothing here imports torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from ..generation import ErrorCode, InvalidRequest
from ..nearest import did_you_mean

DTYPES = ("float32", "bfloat16", "float16")
OFFLOADS = ("model", "sequential")
LONG_PROMPTS = ("refuse", "truncate")
MAX_MICRO_BATCH = 64
AUTO = "auto"
MAX_LORA_WEIGHT = 10.0
CHANGES_NO_PICTURE = ("offload",)


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """None and False are the model's own way. All but `offload` decide pictures, so a run's plan pins them.

    Args:
        lora: adapters as "PATH" or "PATH=WEIGHT": a safetensors file, or a folder that holds one; weight -10 to 10.
            Kept as absolute paths, for workers and a later `retry` have other working directories.
        scheduler: its class in diffusers, or a short name such as `euler` (`signature.SCHEDULERS`).
        dtype: float32, bfloat16 or float16; None for float32 on a CPU, bfloat16 on a GPU.
        micro_batch: rows that are computed together, always exactly so many (1 to 64); None for the device's own;
            "auto" until it has been measured which is best (`pipelines.calibrating`).
        attention_slicing: less memory, slower.
        vae_tiling: decode every picture in tiles; None for those of more than `generator.TILED_PIXELS` only.
        offload: "model" or "sequential": weights wait in the CPU's memory.
        compile: compile the blocks that a network repeats; the first picture of each shape takes minutes.
        fast: let the device choose kernels by trial, fill no micro-batch up, use every thread: pictures may then
            differ in their last bits from run to run.
        long_prompts: "refuse" those that no text encoder reads whole (None too), or "truncate" them.
        no_safety_checker: leave out the checker that the model brings.
        watermark: the invisible watermark of pipelines that have one.

    Raises:
        InvalidRequest: a value is not among those above.
    """

    lora: Sequence[str] = ()
    scheduler: str | None = None
    dtype: str | None = None
    micro_batch: int | str | None = None
    attention_slicing: bool = False
    vae_tiling: bool | None = None
    offload: str | None = None
    compile: bool = False
    fast: bool = False
    long_prompts: str | None = None
    no_safety_checker: bool = False
    watermark: bool = False

    def __post_init__(self) -> None:
        check_choice("dtype", self.dtype, DTYPES)
        check_choice("offload", self.offload, OFFLOADS)
        check_choice("long_prompts", self.long_prompts, LONG_PROMPTS)
        rows = self.micro_batch
        if not (rows in (None, AUTO) or (isinstance(rows, int) and 1 <= rows <= MAX_MICRO_BATCH)):
            raise refusal(f"micro_batch must be from 1 to {MAX_MICRO_BATCH}, or {AUTO}, got {rows!r:.40}")
        object.__setattr__(self, "lora", tuple(absolute_lora(text) for text in self.lora))

    def loras(self) -> tuple[tuple[str, float], ...]:
        """Path and weight of each adapter, in order."""
        return tuple(parse_lora(text) for text in self.lora)

    def given(self) -> dict[str, Any]:
        """What is not the model's own way, by name, as JSON holds it."""
        found: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            value = list(value) if field.name == "lora" else value
            if value not in (None, False, []) or (field.name == "vae_tiling" and value is False):
                found[field.name] = value
        return found

    def pinned(self) -> dict[str, Any]:
        """Those of `given` that decide pictures."""
        return {name: value for name, value in self.given().items() if name not in CHANGES_NO_PICTURE}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ModelOptions:
        """From what `given` or `pinned` gave."""
        return cls(**{name: value for name, value in values.items() if value is not None})


def parse_lora(text: str) -> tuple[str, float]:
    path, equals, weight = text.rpartition("=")
    if not equals:
        return text, 1.0
    try:
        value = float(weight)
    except ValueError:
        return text, 1.0  # a path with a "=" in it
    if not path or not -MAX_LORA_WEIGHT <= value <= MAX_LORA_WEIGHT:
        limits = f"from {-MAX_LORA_WEIGHT:g} to {MAX_LORA_WEIGHT:g}"
        raise refusal(f"lora must be PATH or PATH=WEIGHT with a weight {limits}, got {text!r:.120}")
    return path, value


def absolute_lora(text: str) -> str:
    """The same with an absolute path. Raises as `ModelOptions`."""
    path, _ = parse_lora(text)
    return f"{Path(path).expanduser().absolute()}{text[len(path) :]}"


def shown(pinned: Mapping[str, Any]) -> dict[str, str]:
    """What `ModelOptions.pinned` gave, for people; adapters by their files' names, for machines differ in paths."""
    return {name: shown_value(value) for name, value in sorted(pinned.items())}


def shown_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(PurePath(text).name for text in value) if isinstance(value, list) else str(value)


def check_choice(name: str, value: str | None, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        raise refusal(f"{name} must be one of {', '.join(known)}, got {value!r:.40}{did_you_mean(value, known)}")


def refusal(message: str) -> InvalidRequest:
    return InvalidRequest(ErrorCode.INVALID_PARAMETER, message)


NO_OPTIONS = ModelOptions()
