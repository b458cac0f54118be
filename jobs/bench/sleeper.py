"""A generator that sleeps as a busy GPU would let its process sleep, and paints flat colours."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from imagen_model.flat_colour import FlatColourGenerator
from imagen_model.generation import GenerationRequest, Generator, RequestRules, Result


class Sleeper(FlatColourGenerator):
    def __init__(self, batch_size: int, seconds_a_batch: float, seconds_an_image: float) -> None:
        super().__init__(batch_size)
        self.seconds_a_batch, self.seconds_an_image = seconds_a_batch, seconds_an_image

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Result]:
        time.sleep(self.seconds_a_batch + self.seconds_an_image * len(requests))
        return super().generate(requests)


@dataclass(frozen=True)
class SleepingSource:
    """Args:
    batch: images of a batch, where the pool does not say it.
    """

    batch: int
    seconds_a_batch: float = 0.0
    seconds_an_image: float = 0.0
    name: str = "sleeping"
    revision: str = "1"
    rules: RequestRules = field(default=FlatColourGenerator.rules)

    def load(self, batch_size: int | None = None, device: str = "auto") -> Generator:
        return Sleeper(batch_size or self.batch, self.seconds_a_batch, self.seconds_an_image)
