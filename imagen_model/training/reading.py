"""Pretraining of a model's own text encoder (stage `text_encoder`): it reads captions, and a small decoder, the teller,
says from its states what the scene is, in the one sentence that the world has for it.

A caption says a true thing in one of many ways and in either language; the sentence is always the same. So the states
come to hold what is where, whatever the words, before any picture is drawn, and text is much cheaper than pixels. The
published Imagen freezes a T5 that was pretrained on text alone (arXiv 2205.11487, section 2.1).
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..caption_judge import TELLER
from ..imagen import Imagen
from ..teller import PAD, Teller
from ..text import tokenize
from ..worlds import World, find_world
from .building import build_model, step_seed
from .data import with_unknown_words
from .job import InvalidTrainingJob, TrainingJob
from .loop import Trainer
from .share import WHOLE, Share

HIDDEN_WORDS = 0.3  # of a sentence, while the teller learns
LONGEST = 24  # words of a sentence with its marks; the longest that a world has are 15


class Reading(NamedTuple):
    """Captions, and what they should be understood as: (batch, words) numbers of words, `PAD` after the end."""

    captions: list[str]
    sentences: Tensor


class Readings(Dataset[Reading]):
    """Item `step` is that step's batch, a function of (seed, step) alone."""

    def __init__(self, world: str, teller: Teller, seed: int, batch_size: int, steps: int) -> None:
        self.world, self.numbers = world, teller.numbers
        self.seed, self.batch_size, self.steps = seed, batch_size, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Reading:
        world, rng = find_world(self.world), random.Random(f"{self.seed}:{step}")
        captions, sentences = [], []
        for _ in range(self.batch_size):
            scene = world.scene(rng)
            captions.append(with_unknown_words(world.caption(scene, rng), rng))
            said = self.numbers(world.sentence(scene)) if world.sentence is not None else None
            assert said is not None
            sentences.append(torch.tensor(said))
        return Reading(captions, nn.utils.rnn.pad_sequence(sentences, batch_first=True, padding_value=PAD))


def words_of(world: World) -> list[str]:
    """All words of the world's sentences.

    Raises:
        InvalidTrainingJob: the world has no such sentences.
    """
    if world.sentence_words is None:
        raise InvalidTrainingJob(
            f"stage text_encoder needs a world with one sentence for each scene, {world.name} has none; "
            "train the text encoder with the base, or give a pretrained one as text_encoder"
        )
    return sorted({word.lower() for word in world.sentence_words()})


class ReadingObjective:
    """Cross-entropy of a word of the sentence, in nats. What the caption leaves open cannot be known: not 0 at best."""

    side: int | None = None

    def __init__(self, model: Imagen, teller: Teller, job: TrainingJob, device: torch.device) -> None:
        self.model, self.teller, self.job, self.device = model, teller, job, device
        self.module: nn.Module = model

    def data(self, seed: int, steps: int, held_out: bool = False, share: Share = WHOLE) -> Readings:
        return Readings(self.model.config.world, self.teller, seed, self.job.batch_size, steps)

    def read(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        """The text encoder's states of the captions, and their mask."""
        ids, mask = tokenize(self.model.tokenizer, captions, None, self.model.config.max_text_tokens)
        mask = mask.to(self.device)
        return self.model.text_states(ids.to(self.device), mask), mask

    def loss(self, batch: Reading, share: Share = WHOLE) -> Tensor:
        hidden = HIDDEN_WORDS if self.module.training else 0.0
        return self.teller.loss(batch.sentences.to(self.device), *self.read(batch.captions), hidden)

    def figures(self, validation_loss: float) -> dict[str, float]:
        return {}


class ReadingTrainer(Trainer):
    """One run of `imagegen train` with `stage: text_encoder`."""

    def build(self) -> tuple[Any, Any]:
        model = build_model(self.job)
        words = words_of(find_world(model.config.world))
        torch.manual_seed(step_seed(self.job.seed, -1))
        model.teller = Teller(words, LONGEST, model.text_size)
        model.to(self.device)  # type: ignore[arg-type]
        return model, ReadingObjective(model, model.teller, self.job, self.device)

    def save_model(self, folder: Path) -> None:
        """The model with its text encoder frozen from now on: the teller, which judges by its states, must fit them."""
        teller, config = self.model.teller, self.model.config
        del self.model.teller
        config.train_text_encoder = False
        try:
            super().save_model(folder)
        finally:
            self.model.teller, config.train_text_encoder = teller, True
        teller.save_pretrained(folder / TELLER)

    def save_samples(self, path: Path) -> None:
        """What it makes of the job's sample prompts, a line each."""
        self.model.eval()
        lines = [
            f"{prompt} -> {self.model.teller.tell(*self.objective.read([prompt]))}"
            for prompt in self.job.sample_prompts
        ]
        path.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
