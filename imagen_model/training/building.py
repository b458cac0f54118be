"""The model that a job trains, a function of the job alone, and which of its parts learn."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from ..caption_judge import CaptionJudge
from ..captioner import Captioner
from ..config import DEFAULT_WORLD, ImagenConfig
from ..denoiser_config import DenoiserConfig
from ..denoising_unet import DenoisingUNet
from ..drawn_world.tokenizer import bilingual_tokenizer
from ..imagen import Imagen
from ..teller import Teller
from ..worlds import find_world
from .data_source import DataSource
from .job import TEXT_ENCODER, InvalidTrainingJob, TrainingJob
from .pictures import picture_set

OWN_TEXT_ENCODER = {
    "model_type": "bert",
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 384,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def build_model(job: TrainingJob) -> Imagen:
    """The job's model before its first step; what does not learn has `requires_grad` off."""
    torch.manual_seed(job.seed)
    model = new_model(job) if job.start_from is None else Imagen.from_pretrained(job.start_from)
    if job.stage == TEXT_ENCODER:
        if model.stages:
            raise InvalidTrainingJob(
                f"{job.start_from} has super-resolution stages, which read its text encoder as it is; train the text "
                "encoder before them"
            )
        model.requires_grad_(False)
        model.text_encoder.requires_grad_(True)
        model.config.train_text_encoder = True
    if job.judge is not None:
        put_judge(model, job.judge)
    if job.stage == TEXT_ENCODER or job.start_from is None:
        return model
    index = job.super_resolution_index
    # Every stage reads the text encoder's states: once there are several, it must not change under them.
    brought = job.denoiser is not None or job.stage_from is not None
    frozen_text = not model.config.train_text_encoder or index is not None or brought or bool(model.stages)
    put_new_stage(model, job)
    if job.display_factor is not None:
        model.config.display_factor = job.display_factor
    if index is not None:
        model.requires_grad_(False)
        model.stages[index].requires_grad_(True)
    else:
        for stage in model.stages:
            stage.requires_grad_(False)
        if frozen_text:
            model.text_encoder.requires_grad_(False)
    return model


def put_judge(model: Imagen, folders: dict[str, str]) -> None:
    try:
        captioner = Captioner.from_pretrained(folders["captioner"], device="cpu")
        model.judge_by(CaptionJudge(captioner, Teller.from_pretrained(folders["teller"])))
    except (ValueError, OSError) as mistake:
        raise InvalidTrainingJob(f"judge: {mistake}") from mistake


def put_new_stage(model: Imagen, job: TrainingJob) -> None:
    """The new stage in its place in a saved model; nothing to do where the job goes on with the one that is there."""
    index = job.super_resolution_index
    giver = None if job.stage_from is None else Imagen.from_pretrained(job.stage_from)
    fields = job.denoiser if giver is None else stage_fields(giver, job)
    if fields is None:
        if index is not None and index >= len(model.stages):
            raise InvalidTrainingJob(
                f"{job.start_from} has {len(model.stages)} super-resolution stages, so there is no {job.stage} to go "
                "on with; give denoiser, the new stage's sizes"
            )
        return
    torch.manual_seed(step_seed(job.seed, -1))
    try:
        if index is None:
            model.put_denoising_base(DenoiserConfig.of(fields))
        else:
            model.put_stage(index, DenoiserConfig.of(fields))
        if giver is not None:
            stage_of(model, index).load_state_dict(stage_of(giver, index).state_dict())
    except (ValueError, RuntimeError) as mistake:  # torch's, of weights for another width of the text
        brought = "denoiser" if giver is None else f"{job.stage} of {job.stage_from}"
        raise InvalidTrainingJob(f"{brought} does not fit {job.start_from}: {mistake}") from mistake


def stage_of(model: Imagen, index: int | None) -> DenoisingUNet:
    """Super-resolution of that index; the base for None."""
    return model.denoiser if index is None else model.stages[index]


def stage_fields(giver: Imagen, job: TrainingJob) -> dict[str, Any]:
    index = job.super_resolution_index
    stages = giver.config.super_resolution or []
    fields = giver.config.denoiser if index is None else stages[index] if index < len(stages) else None
    if fields is None:
        raise InvalidTrainingJob(f"{job.stage_from} has no diffusion stage {job.stage} to start from")
    return dict(fields)


def new_model(job: TrainingJob) -> Imagen:
    fields = dict(job.model)
    if job.text_encoder is not None:
        return Imagen.with_text_encoder(job.text_encoder, ImagenConfig(**fields))
    own = {**OWN_TEXT_ENCODER, **fields.pop("text_config", {})}
    limit = int(fields.get("max_text_tokens", ImagenConfig.max_text_tokens))
    if job.data is not None:
        tokenizer = bilingual_tokenizer(picture_set(DataSource.of(job.data)).frequent_words(), limit)
    else:
        tokenizer = find_world(fields.get("world", DEFAULT_WORLD)).tokenizer(limit)
    own |= {"vocab_size": len(tokenizer), "max_position_embeddings": limit}
    return Imagen(ImagenConfig(text_config=own, **fields), tokenizer)


def step_seed(seed: int, step: int) -> int:
    """The seed of everything random in a step."""
    digest = hashlib.sha256(f"{seed}:{step}".encode()).digest()
    return int.from_bytes(digest[:7], "big")
