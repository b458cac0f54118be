"""The training loop of every stage: AdamW, warm-up and decay, moving average, bf16 autocast, validation, grids,
exact resume.

Everything random in a step is a function of (seed, step), so a resumed run ends with the weights of an
uninterrupted one on the same machine. Several processes share a step (`share`); the first one writes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from ..devices import choose_device
from . import checkpoints
from .building import build_model, step_seed
from .data import batches
from .data_source import DataSource
from .job import TEXT_ENCODER, TrainingJob
from .objectives import objective
from .pictures import check_unchanged, picture_set
from .share import WHOLE, Share

# Validation drawings come from seeds that no training step reaches.
VALIDATION_SEED_OFFSET = 1_000_003


class Trainer:
    """One run: the model, what its stage learns, the moving average, the optimiser, and how far they are."""

    def __init__(self, job: TrainingJob) -> None:
        """Raises:
        InvalidTrainingJob: the job does not fit its model, its data or the number of processes.
        """
        self.job = job
        self.share = Share.of_group()
        self.share.check(job)
        self.output = Path(job.output)
        self.output.mkdir(parents=True, exist_ok=True)
        if job.threads:
            torch.set_num_threads(job.threads)
        self.device = choose_device(job.device)
        self.model, self.objective = self.build()
        self.learning = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        trained = list(self.learning.values())
        # Biases, norms and embeddings of one dimension are not pulled to zero.
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": job.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=job.learning_rate, betas=(0.9, 0.95))
        self.average = {name: p.detach().clone() for name, p in self.learning.items()}
        self.steps_done = 0
        checkpoint = checkpoints.newest(self.output)
        if checkpoint is not None:
            self.steps_done = checkpoints.load(checkpoint, self.learning, self.average, self.optimizer)
        self.share.check_same("checkpoints", self.steps_done, self.device)

    def build(self) -> tuple[Any, Any]:
        """The model on its device, and the objective of what learns in it."""
        if self.job.data is not None:
            check_unchanged(self.output, picture_set(DataSource.of(self.job.data)), write=self.share.rank == 0)
        model = build_model(self.job).to(self.device)  # type: ignore[arg-type]
        return model, objective(model, self.job, self.device)

    def save_model(self, folder: Path) -> None:
        self.model.save_pretrained(folder)

    def run(self, stop_after: int | None = None) -> None:
        """Train to the end, or for `stop_after` steps of this call, then write the model."""
        job, first_one = self.job, self.share.rank == 0
        last = job.steps if stop_after is None else min(job.steps, self.steps_done + stop_after)
        began, first = time.perf_counter(), self.steps_done
        bar = tqdm(total=job.steps, initial=first, desc="training", unit="step", disable=not first_one)
        smooth: float | None = None
        for batch in batches(self.objective.data(job.seed, last, share=self.share), first, job.data_workers):
            loss = self.step(batch)
            smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
            self.steps_done += 1
            bar.update()
            bar.set_postfix_str(f"loss {smooth:.4f}", refresh=False)
            done = self.steps_done
            if not first_one:
                continue
            if done % job.validate_every == 0 or done == last:
                rate = (done - first) * job.batch_size / (time.perf_counter() - began)
                self.report(smooth, rate)
            if done % job.checkpoint_every == 0 or done == last:
                checkpoints.save(self.output, done, self.learning, self.average, self.optimizer)
                self.with_average(lambda: self.save_model(self.output / "model"))
        bar.close()

    def step(self, batch: Any) -> float:
        """One step of the optimiser; returns the loss."""
        job = self.job
        # Noise, times and dropout are drawn from torch's own generator, so that they are tied to the step as well.
        torch.manual_seed(step_seed(job.seed, self.steps_done))
        self.objective.module.train()
        part = self.loss(batch, self.share)
        part.backward()
        loss = self.share.average(self.learning.values(), part)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at step {self.steps_done}; lower learning_rate (now {job.learning_rate})"
            )
        torch.nn.utils.clip_grad_norm_(self.learning.values(), job.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = job.learning_rate_at(self.steps_done)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        # A young run's average would be its random start; the decay grows with the steps.
        decay = min(job.ema_decay, (1 + self.steps_done) / (10 + self.steps_done))
        with torch.no_grad():
            for name, parameter in self.learning.items():
                self.average[name].lerp_(parameter, 1 - decay)
        return loss

    def loss(self, batch: Any, share: Share = WHOLE) -> Tensor:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.job.precision == "bf16"):
            return self.objective.loss(batch, share)

    def with_average(self, action: Callable[[], Any]) -> Any:
        """Do something with the moving average in the place of the weights."""
        own = {name: parameter.detach().clone() for name, parameter in self.learning.items()}
        self.place(self.average)
        try:
            return action()
        finally:
            self.place(own)

    @torch.no_grad()
    def place(self, weights: dict[str, Tensor]) -> None:
        for name, parameter in self.learning.items():
            parameter.copy_(weights[name])

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Mean loss on pictures never trained on, with the same noise every time."""
        self.model.eval()
        seed = self.job.seed + VALIDATION_SEED_OFFSET
        drawings = self.objective.data(seed, self.job.validation_batches, held_out=True)
        losses = []
        for index in range(len(drawings)):
            torch.manual_seed(step_seed(seed, index))
            losses.append(float(self.loss(drawings[index])))
        return sum(losses) / len(losses)

    def report(self, training_loss: float, rate: float) -> None:
        """A line in the log, and a grid of samples of the moving average to look at."""
        validation = self.with_average(self.validation_loss)
        line = {
            "step": self.steps_done,
            "training_loss": round(training_loss, 5),
            "validation_loss": round(validation, 5),
            **self.objective.figures(validation),
            "learning_rate": self.job.learning_rate_at(self.steps_done),
            "images_per_second": round(rate, 1),
        }
        with (self.output / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        tqdm.write(json.dumps(line))
        self.with_average(lambda: self.save_samples(self.output / f"samples-{self.steps_done:08d}.png"))

    def save_samples(self, path: Path) -> None:
        """Something to look at, under that path."""
        self.sample_grid().save(path)

    def sample_grid(self) -> Image.Image:
        """Four seeds a row for each of the job's sample prompts."""
        self.model.eval()
        prompts = [prompt for prompt in self.job.sample_prompts for _ in range(4)]
        seeds = [index % 4 for index in range(len(prompts))]
        side = self.objective.side
        images = self.model.generate_images(prompts, seeds=seeds, width=side, height=side)
        side = images[0].width
        grid = Image.new("RGB", (4 * (side + 4), len(self.job.sample_prompts) * (side + 4)), (60, 60, 60))
        for index, image in enumerate(images):
            grid.paste(image, (index % 4 * (side + 4) + 2, index // 4 * (side + 4) + 2))
        return grid


def trainer(job: TrainingJob) -> Trainer:
    """Of what the job trains, resuming from the newest checkpoint in its output."""
    kind = Trainer
    if job.captioner is not None:
        from .captioning import CaptionTrainer as kind  # type: ignore[assignment]
    elif job.stage == TEXT_ENCODER:
        from .reading import ReadingTrainer as kind  # type: ignore[assignment]
    return kind(job)


def train(job: TrainingJob) -> Path:
    """Train to the end; returns the model's folder."""
    trainer(job).run()
    return Path(job.output) / "model"
