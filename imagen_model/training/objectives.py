"""What a stage learns: its drawings and its loss. The loop is the same for all."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import diffusion
from ..denoising_unet import DenoisingUNet
from ..imagen import Imagen
from ..stages import to_signal
from ..text import tokenize
from ..worlds import find_world
from .data import Batch, Batches, Drawings, Pictures, Source
from .data_source import DataSource
from .job import InvalidTrainingJob, TrainingJob
from .pictures import picture_set
from .share import WHOLE, Share

# Tokens: a compiled network's text is padded to a multiple of this.
TEXT_STRIDE = 16


class Objective(Protocol):
    """Attributes:
    module: what is put into training mode.
    side: of the pictures that the sample grid shows; None for the model's own default.
    """

    module: nn.Module

    @property
    def side(self) -> int | None: ...

    def data(self, seed: int, steps: int, held_out: bool = False, share: Share = WHOLE) -> Batches:
        """The share's pictures of `steps` steps; `held_out` chooses those that no training step sees, where a set has
        them."""
        ...

    def loss(self, batch: Batch, share: Share = WHOLE) -> Tensor:
        """The mean over the share's rows; everything random in it comes from torch's own generator on the CPU, and is
        drawn for the rows of all."""
        ...

    def figures(self, validation_loss: float) -> dict[str, float]:
        """What else the log says of a validation loss."""
        ...


def objective(model: Imagen, job: TrainingJob, device: torch.device) -> Objective:
    """That of the job's stage."""
    index = job.super_resolution_index
    if index is not None:
        return DenoisingObjective(model, model.stages[index], job, device)
    if model.config.base_stage is not None:
        return DenoisingObjective(model, model.denoiser, job, device)
    return PixelObjective(model, job, device)


def source(model: Imagen, job: TrainingJob, side: int, held_out: bool) -> Source:
    """Drawings of the model's world, or one side of the job's pictures on a disk.

    Raises:
        InvalidTrainingJob: the world has no such kinds of scenes as the job's mix.
    """
    if job.data is None:
        kinds = find_world(model.config.world).kinds
        if unknown := set(job.mix or {}) - set(kinds):
            named = ", ".join(kinds) if kinds else "none that have names"
            raise InvalidTrainingJob(f"mix: {model.config.world} has no {min(unknown)!r}; its scenes are: {named}")
        return Drawings(model.config.world, job.mix)
    found = picture_set(DataSource.of(job.data))
    return Pictures(found.held_out if held_out else found.training, side)


class PixelObjective:
    """A pixel decoder base: cross-entropy of each value, in nats."""

    side: int | None = None

    def __init__(self, model: Imagen, job: TrainingJob, device: torch.device) -> None:
        self.model, self.job, self.device = model, job, device
        self.module: nn.Module = model
        self.run: Any = torch.compile(model, dynamic=False) if job.compile else model

    def data(self, seed: int, steps: int, held_out: bool = False, share: Share = WHOLE) -> Batches:
        job, side = self.job, self.model.config.image_size
        found = source(self.model, job, side, held_out)
        return Batches(found, seed, job.batch_size, side, steps, job.caption_dropout, share=share)

    def loss(self, batch: Batch, share: Share = WHOLE) -> Tensor:
        limit, cut = self.model.config.max_text_tokens, self.job.data is not None
        ids, mask = tokenize(self.model.tokenizer, batch.captions, None, limit, cut)
        if self.job.compile:  # few shapes, each compiled once
            ids, mask = (F.pad(one, (0, -one.shape[1] % TEXT_STRIDE)) for one in (ids, mask))
        pixels = self.model.to_levels(batch.pictures)
        return self.run(ids.to(self.device), mask.to(self.device), pixels.to(self.device)).loss

    def figures(self, validation_loss: float) -> dict[str, float]:
        return {"bits_per_subpixel": round(validation_loss / math.log(2), 5)}


class DenoisingObjective:
    """A denoising U-Net, as a base or as a super-resolution stage: the velocity's squared error."""

    def __init__(self, model: Imagen, net: DenoisingUNet, job: TrainingJob, device: torch.device) -> None:
        self.model, self.net, self.job, self.device = model, net, job, device
        self.side = net.config.image_size
        if job.crop is not None and (job.crop % net.config.granularity or job.crop > self.side):
            raise InvalidTrainingJob(
                f"crop must be a multiple of {net.config.granularity} up to {self.side} for {job.stage}, got {job.crop}"
            )
        # A text encoder that does not learn stays in evaluation mode.
        learns = any(parameter.requires_grad for parameter in model.text_encoder.parameters())
        self.module: nn.Module = model if learns else net
        self.run: Any = torch.compile(net) if job.compile else net

    def data(self, seed: int, steps: int, held_out: bool = False, share: Share = WHOLE) -> Batches:
        config, job = self.net.config, self.job
        low, left_out = config.low_resolution_size, job.caption_dropout
        side, align = config.image_size, config.granularity
        found = source(self.model, job, side, held_out)
        return Batches(found, seed, job.batch_size, side, steps, left_out, low, job.crop, align, share)

    def loss(self, batch: Batch, share: Share = WHOLE) -> Tensor:
        rows, shift = len(batch.captions), self.net.config.shift
        clean = to_signal(batch.pictures)
        time = share.draw(lambda count: diffusion.training_times(count, shift), rows)
        noisy = diffusion.noised(clean, share.draw(lambda count: noise(count, clean), rows), time).to(self.device)
        low, level = self.augmented(batch.low, share)
        # One length of text for all batches: compiled networks want one shape.
        limit = self.model.config.max_text_tokens
        length, cut = limit if self.job.compile else None, self.job.data is not None
        ids, mask = tokenize(self.model.tokenizer, batch.captions, length, limit, cut)
        mask = mask.to(self.device)
        text = self.net.read_text(self.model.text_states(ids.to(self.device), mask), mask)
        predicted = self.run(noisy, time.to(self.device), text, low, level)
        return diffusion.velocity_loss(clean.to(self.device), predicted, time.to(self.device))

    def augmented(self, low: Tensor | None, share: Share) -> tuple[Tensor | None, Tensor | None]:
        """The low-resolution pictures as the stage before makes them, noised to random levels; and the levels."""
        if low is None:
            return None, None
        base = self.model.config
        if base.base_stage is None and self.net.config.low_resolution_size == base.image_size:
            low = self.model.level_values()[self.model.levels_of(low)].to(torch.uint8)  # of any crop
        # Squared, for more of the low levels at which pictures are made.
        level = self.job.augmentation * share.draw(torch.rand, len(low)).square()
        signal = to_signal(low)
        grain = share.draw(lambda count: noise(count, signal), len(low))
        return diffusion.noised(signal, grain, level).to(self.device), level.to(self.device)

    def figures(self, validation_loss: float) -> dict[str, float]:
        return {}


def noise(count: int, like: Tensor) -> Tensor:
    """For so many rows of that shape."""
    return torch.randn(count, *like.shape[1:])
