"""The training loop: AdamW, warm-up and decay, moving average, bf16 autocast, validation, grids, exact resume.

Everything random in a step is a function of (seed, step), so a resumed run ends with the weights of an
uninterrupted one on the same machine.
"""

from __future__ import annotations

import hashlib
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

from ..config import ImagenConfig
from ..illustrations.captions import vocabulary
from ..imagen import Imagen
from ..text import tokenize
from ..tokenizers import word_tokenizer
from . import checkpoints
from .data import Batch, DrawnBatches, batches
from .job import TrainingJob

OWN_TEXT_ENCODER = {
    "model_type": "bert",
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 384,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
# Validation drawings come from seeds that no training step reaches.
VALIDATION_SEED_OFFSET = 1_000_003


def build_model(job: TrainingJob) -> Imagen:
    """The untrained model of a job, a function of the job's seed."""
    torch.manual_seed(job.seed)
    if job.start_from is not None:
        return Imagen.from_pretrained(job.start_from)
    fields = dict(job.model)
    if job.text_encoder is not None:
        return Imagen.with_text_encoder(job.text_encoder, ImagenConfig(**fields))
    own = {**OWN_TEXT_ENCODER, **fields.pop("text_config", {})}
    limit = int(fields.get("max_text_tokens", ImagenConfig.max_text_tokens))
    tokenizer = word_tokenizer(vocabulary(), limit)
    own |= {"vocab_size": len(tokenizer), "max_position_embeddings": limit}
    return Imagen(ImagenConfig(text_config=own, **fields), tokenizer)


class Trainer:
    """One run: the model, its moving average, the optimiser, and how far they are."""

    def __init__(self, job: TrainingJob) -> None:
        self.job = job
        self.output = Path(job.output)
        self.output.mkdir(parents=True, exist_ok=True)
        if job.threads:
            torch.set_num_threads(job.threads)
        wanted = ("cuda" if torch.cuda.is_available() else "cpu") if job.device == "auto" else job.device
        self.device = torch.device(wanted)
        self.model = build_model(job).to(self.device)  # type: ignore[arg-type]
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        # Biases, norms and embeddings of one dimension are not pulled to zero.
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": job.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=job.learning_rate, betas=(0.9, 0.95))
        self.average = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.steps_done = 0
        checkpoint = checkpoints.newest(self.output)
        if checkpoint is not None:
            self.steps_done = checkpoints.load(checkpoint, self.model, self.average, self.optimizer)

    def data(self, seed: int, steps: int) -> DrawnBatches:
        return DrawnBatches(seed, self.job.batch_size, self.model.config.image_size, steps, self.job.caption_dropout)

    def run(self, stop_after: int | None = None) -> None:
        """Train to the end, or for `stop_after` steps of this call, then write the model."""
        job = self.job
        last = job.steps if stop_after is None else min(job.steps, self.steps_done + stop_after)
        began, first = time.perf_counter(), self.steps_done
        bar = tqdm(total=job.steps, initial=first, desc="training", unit="step")
        smooth: float | None = None
        for batch in batches(self.data(job.seed, last), first, job.data_workers):
            loss = self.step(batch)
            smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
            self.steps_done += 1
            bar.update()
            bar.set_postfix_str(f"loss {smooth:.4f} nats", refresh=False)
            done = self.steps_done
            if done % job.validate_every == 0 or done == last:
                rate = (done - first) * job.batch_size / (time.perf_counter() - began)
                self.report(smooth, rate)
            if done % job.checkpoint_every == 0 or done == last:
                checkpoints.save(self.output, done, self.model, self.average, self.optimizer)
                self.with_average(lambda: self.model.save_pretrained(self.output / "model"))
        bar.close()

    def step(self, batch: Batch) -> float:
        """One step of the optimiser; returns the loss in nats a value."""
        job = self.job
        # Dropout in the text encoder is the only other randomness, and is tied to the step as well.
        torch.manual_seed(step_seed(job.seed, self.steps_done))
        self.model.train()
        loss = self.loss(batch)
        if not math.isfinite(loss.item()):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.steps_done}; lower learning_rate (now {job.learning_rate})"
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), job.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = job.learning_rate_at(self.steps_done)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        # A young run's average would be its random start; the decay grows with the steps.
        decay = min(job.ema_decay, (1 + self.steps_done) / (10 + self.steps_done))
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                self.average[name].lerp_(parameter, 1 - decay)
        return float(loss.detach())

    def loss(self, batch: Batch) -> Tensor:
        captions, pictures = batch
        ids, mask = tokenize(self.model.tokenizer, captions, None, self.model.config.max_text_tokens)
        pixels = self.model.to_levels(pictures)
        bf16 = self.job.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16):
            output = self.model(ids.to(self.device), mask.to(self.device), pixels.to(self.device))
        return output.loss

    def with_average(self, action: Callable[[], Any]) -> Any:
        """Do something with the moving average in the place of the weights."""
        own = {name: parameter.detach().clone() for name, parameter in self.model.named_parameters()}
        self.place(self.average)
        try:
            return action()
        finally:
            self.place(own)

    @torch.no_grad()
    def place(self, weights: dict[str, Tensor]) -> None:
        for name, parameter in self.model.named_parameters():
            parameter.copy_(weights[name])

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Mean cross-entropy in nats on drawings never trained on."""
        self.model.eval()
        drawings = self.data(self.job.seed + VALIDATION_SEED_OFFSET, self.job.validation_batches)
        losses = [float(self.loss(drawings[index])) for index in range(len(drawings))]
        return sum(losses) / len(losses)

    def report(self, training_loss: float, rate: float) -> None:
        """A line in the log, and a grid of samples of the moving average to look at."""
        validation = self.with_average(self.validation_loss)
        line = {
            "step": self.steps_done,
            "training_loss": round(training_loss, 5),
            "validation_loss": round(validation, 5),
            "bits_per_subpixel": round(validation / math.log(2), 5),
            "learning_rate": self.job.learning_rate_at(self.steps_done),
            "images_per_second": round(rate, 1),
        }
        with (self.output / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        tqdm.write(json.dumps(line))
        grid = self.with_average(self.sample_grid)
        grid.save(self.output / f"samples-{self.steps_done:08d}.png")

    def sample_grid(self) -> Image.Image:
        """Four seeds a row for each of the job's sample prompts."""
        self.model.eval()
        prompts = [prompt for prompt in self.job.sample_prompts for _ in range(4)]
        images = self.model.generate_images(prompts, seeds=[index % 4 for index in range(len(prompts))])
        side = images[0].width
        grid = Image.new("RGB", (4 * (side + 4), len(self.job.sample_prompts) * (side + 4)), (60, 60, 60))
        for index, image in enumerate(images):
            grid.paste(image, (index % 4 * (side + 4) + 2, index // 4 * (side + 4) + 2))
        return grid


def step_seed(seed: int, step: int) -> int:
    digest = hashlib.sha256(f"{seed}:{step}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


def train(job: TrainingJob) -> Path:
    """Train, resuming from the newest checkpoint in the output; returns the model's folder."""
    Trainer(job).run()
    return Path(job.output) / "model"
