"""What a training run is, read from a YAML file and checked as a whole before anything starts."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..denoiser_config import DenoiserConfig
from .data_source import DataSource

TEXT_ENCODER = "text_encoder"


class InvalidTrainingJob(ValueError):
    """A training file that cannot be run; the message names the field, its value and what it may be."""


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One run of `imagegen train`.

    Args:
        output: folder for checkpoints, sample grids, the log and the finished model.
        model: fields of `ImagenConfig`; `text_config` is the own text encoder's, left out with `text_encoder`.
        start_from: a model to go on from (folder or name) instead of `model` and `text_encoder`.
        stage: what is trained: "text_encoder" (the model's own, alone, by what captions mean: `reading`), "base" or
            "super_resolution[i]". A super-resolution stage needs `start_from`; the text
            encoder and all other stages stay as they are there, and the result is the whole model again.
        denoiser: fields of `DenoiserConfig` of a new stage, put into the place of `stage` in `start_from`; None goes on
            with the stage that is there.
        stage_from: instead of `denoiser`, a model whose stage of that name is put there, weights and all, to go on
            learning with the text encoder that it finds.
        crop: side in pixels of the squares that a diffusion stage learns from; None for whole pictures.
        augmentation: largest level of noise on the low-resolution pictures of a super-resolution stage.
        compile: whether torch compiles the network that learns; for GPUs.
        text_encoder: hub id or folder of a pretrained BERT or T5 to use frozen; None trains a small one.
        display_factor: how much larger than it makes them the finished model shows its pictures by default, a power of
            two; None keeps what the model has, 1 where a stage was added.
        judge: what the finished model is to choose among candidates by, two folders: `captioner`, and `teller`, which
            stage text_encoder leaves; None keeps that of `start_from`.
        mix: shares of the drawn world's kinds of scenes, by name, instead of the world's own.
        data: fields of `DataSource`: captioned pictures on a disk to learn from instead of a drawn world.
        captioner: fields of `CaptionerSizes`: a captioner is trained instead of an Imagen.
        steps: optimiser steps; batch_size: pictures a step.
        learning_rate: the peak, reached after `warmup_steps`, held, then brought to zero over the last
            `decay_share` of the steps.
        caption_dropout: share of captions left empty, for classifier-free guidance.
        precision: "bf16" (autocast) or "fp32".
        device: "auto", "cpu" or "cuda"; threads: of torch on a CPU, None for torch's choice.
        data_workers: processes that draw pictures; 0 draws in the training process.
        validate_every, checkpoint_every: in steps; sample_prompts: what the sample grid shows.
    """

    output: str
    model: dict[str, Any] = field(default_factory=dict)
    start_from: str | None = None
    stage: str = "base"
    denoiser: dict[str, Any] | None = None
    stage_from: str | None = None
    crop: int | None = None
    augmentation: float = 0.5
    compile: bool = False
    text_encoder: str | None = None
    display_factor: int | None = None
    judge: dict[str, str] | None = None
    mix: dict[str, float] | None = None
    data: dict[str, Any] | None = None
    captioner: dict[str, Any] | None = None
    steps: int = 1000
    batch_size: int = 16
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    decay_share: float = 0.4
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    caption_dropout: float = 0.1
    precision: str = "bf16"
    device: str = "auto"
    threads: int | None = None
    data_workers: int = 0
    seed: int = 0
    validate_every: int = 250
    validation_batches: int = 8
    checkpoint_every: int = 250
    sample_prompts: tuple[str, ...] = ("a red circle", "a blue square", "two green triangles")

    def __post_init__(self) -> None:
        mistakes = []
        if self.start_from is not None and (self.model or self.text_encoder):
            mistakes.append("start_from brings its own model; leave model and text_encoder out")
        others = ("model", "start_from", "text_encoder", "denoiser", "display_factor", "judge", "mix", "data")
        if self.captioner is not None and any(getattr(self, name) for name in others):
            mistakes.append(f"captioner trains no Imagen; leave {', '.join(others)} out")
        for name in ("steps", "batch_size", "validate_every", "validation_batches", "checkpoint_every"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                mistakes.append(f"{name} must be a whole number of at least 1, got {getattr(self, name)!r}")
        for name in ("caption_dropout", "ema_decay", "decay_share", "augmentation"):
            if not isinstance(getattr(self, name), int | float) or not 0 <= getattr(self, name) <= 1:
                mistakes.append(f"{name} must be from 0 to 1, got {getattr(self, name)!r}")
        if not isinstance(self.learning_rate, int | float) or not 0 < self.learning_rate < 1:
            mistakes.append(f"learning_rate must be between 0 and 1, got {self.learning_rate!r} (write 1.0e-3)")
        factor = self.display_factor
        if factor is not None and (not isinstance(factor, int) or factor < 1 or factor & (factor - 1)):
            mistakes.append(f"display_factor must be a power of two, got {factor!r}")
        if self.precision not in ("bf16", "fp32"):
            mistakes.append(f"precision must be bf16 or fp32, got {self.precision!r}")
        if self.judge is not None and (not isinstance(self.judge, dict) or set(self.judge) != {"captioner", "teller"}):
            mistakes.append(f"judge must name two folders, captioner and teller, got {self.judge!r}")
        mistakes += [*self.stage_mistakes(), *self.data_mistakes()]
        if mistakes:
            raise InvalidTrainingJob("; ".join(mistakes))

    def stage_mistakes(self) -> list[str]:
        mistakes = []
        if not re.fullmatch(rf"{TEXT_ENCODER}|base|super_resolution\[\d+\]", self.stage):
            stages = f"{TEXT_ENCODER}, base or super_resolution[0], super_resolution[1], ..."
            return [f"stage must be {stages}, got {self.stage!r}"]
        if self.stage == TEXT_ENCODER:
            return self.reading_mistakes()
        if self.stage != "base" and self.start_from is None:
            mistakes.append(f"{self.stage} needs start_from, the model that the stage is added to")
        if self.denoiser is not None and self.start_from is None:
            mistakes.append("denoiser is for a stage put into start_from; a new model's base stands in model.denoiser")
        if self.display_factor is not None and self.start_from is None:
            mistakes.append("display_factor is for a model that start_from names; a new one's stands in model")
        if self.stage_from is not None and (self.start_from is None or self.denoiser is not None):
            mistakes.append("stage_from brings a stage into start_from with sizes of its own; leave denoiser out")
        fields = self.denoiser if self.denoiser is not None else self.model.get("denoiser")
        if fields is None:
            return mistakes
        try:
            stage = DenoiserConfig.of(fields)
        except (ValueError, TypeError) as mistake:
            return [*mistakes, f"denoiser: {mistake}"]
        if (stage.low_resolution_size is None) != (self.stage == "base"):
            mistakes.append("denoiser must have a low_resolution_size for a super-resolution stage, none for a base")
        return mistakes

    def reading_mistakes(self) -> list[str]:
        others = ("denoiser", "stage_from", "text_encoder", "display_factor", "judge", "mix", "data")
        given = ", ".join(name for name in others if getattr(self, name) is not None)
        if not given:
            return []
        return [f"stage {TEXT_ENCODER} trains the model's own by its world's captions; leave {given} out"]

    def data_mistakes(self) -> list[str]:
        if self.mix is not None and self.data is not None:
            return ["mix is of the drawn world's scenes, data takes their place; leave one out"]
        if self.mix is not None and not shares(self.mix):
            return [f"mix must give kinds of scenes shares of at least 0, one of them more, got {self.mix!r}"]
        try:
            if self.data is not None:
                DataSource.of(self.data)
        except (ValueError, TypeError) as mistake:
            return [f"data: {mistake}"]
        return []

    @property
    def can_be_shared(self) -> bool:
        """Whether several processes may share a step: no where the loss is a mean over words, of which shares hold
        different numbers."""
        return self.captioner is None and self.stage != TEXT_ENCODER

    @property
    def super_resolution_index(self) -> int | None:
        """Which super-resolution stage is trained; None for the base."""
        found = re.search(r"\d+", self.stage)
        return None if found is None else int(found.group())

    def learning_rate_at(self, step: int) -> float:
        """Warm-up, plateau, linear decay to zero."""
        decay_steps = max(1, round(self.steps * self.decay_share))
        rise = min(1.0, (step + 1) / max(1, self.warmup_steps))
        fall = min(1.0, (self.steps - step) / decay_steps)
        return self.learning_rate * min(rise, fall)


def shares(mix: object) -> bool:
    """Whether it could be a mix."""
    if not isinstance(mix, dict) or not all(isinstance(share, int | float) and share >= 0 for share in mix.values()):
        return False
    return sum(mix.values()) > 0


def read_training_job(path: str | Path) -> TrainingJob:
    """The job in a YAML file.

    Raises:
        InvalidTrainingJob: not readable, not a mapping, an unknown or a wrong field.
    """
    try:
        fields = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as problem:
        raise InvalidTrainingJob(f"cannot read the training file {path}: {problem}") from problem
    if not isinstance(fields, dict):
        raise InvalidTrainingJob(f"{path} must hold a mapping of fields, got {type(fields).__name__}")
    known = {item.name for item in dataclasses.fields(TrainingJob)}
    unknown = sorted(set(map(str, fields)) - known)
    if unknown:
        raise InvalidTrainingJob(f"{path}: unknown field {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    if "output" not in fields:
        raise InvalidTrainingJob(f"{path}: the field output is missing; give the folder to write to")
    if "sample_prompts" in fields:
        fields["sample_prompts"] = tuple(fields["sample_prompts"])
    return TrainingJob(**fields)
