"""A Stable Diffusion that fails as its prompts say, loaded as a worker loads a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline

from imagen_model.generation import Generator, RequestRules
from imagen_model.open_models.generator import DiffusersGenerator, prepare
from imagen_model.open_models.options import NO_OPTIONS, ModelOptions
from imagen_model.open_models.rules import read_model
from imagen_model.open_models.running import Stage


class Misbehaving(StableDiffusionPipeline):
    """`BOOM` raises, `NAN` and `BLACK` give such pictures, `NAKED` is held back; more than `room` rows do not fit."""

    room = 10**6

    def __call__(self, prompt: list[str], **settings: Any) -> Any:
        if len(prompt) > self.room:
            raise torch.OutOfMemoryError("no room")
        if any("BOOM" in text for text in prompt):
            raise RuntimeError("boom")
        output = super().__call__(prompt, **settings)
        for number, text in enumerate(prompt):
            if "NAN" in text:
                output.images[number] = float("nan")
            if "BLACK" in text:
                output.images[number] = 0.0
        output.nsfw_content_detected = ["NAKED" in text for text in prompt]
        return output


@dataclass(frozen=True)
class MisbehavingSource:
    folder: str
    rules: RequestRules
    room: int = 10**6
    options: ModelOptions = NO_OPTIONS
    name: str = "misbehaving"
    revision: str = "1"

    def load(self, batch_size: int | None = None, device: str = "auto") -> Generator:
        rules, _, (form,) = read_model(Path(self.folder), self.folder, self.options)
        pipeline = Misbehaving.from_pretrained(self.folder)
        pipeline.set_progress_bar_config(disable=True)
        pipeline.room = self.room
        prepare(pipeline, self.options, torch.device("cpu"))
        return DiffusersGenerator([Stage(pipeline, form)], rules, torch.device("cpu"), self.options, batch_size)
