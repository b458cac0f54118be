"""A flat-colour model that does what words in the prompt say. Imported by replicas."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from imagen_model.flat_colour import RULES, FlatColourGenerator
from imagen_model.generation import GenerationRequest, Generator, RequestRules, Result
from imagen_model.post_processing import COLORIZE, FINISHING
from tests.heap import keeps_heap


class Obedient(FlatColourGenerator):
    """`HOLD <path>` waits until the file is there; `NAP` takes 20 ms; `BOOM` raises; `POISON` kills the process;
    `HEAP` raises and says whether its process keeps memory. Each batch leaves a file in `folder`, named by its process
    and number, with its prompts in it. A grey picture comes back in its flat colour: `/v1/images/edits` is there."""

    rules = replace(RULES, post_processing=(COLORIZE, *FINISHING))

    def __init__(self, batch_size: int, folder: str) -> None:
        super().__init__(batch_size)
        self.folder = Path(folder)
        self.batches = 0

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Result]:
        self.batches += 1
        prompts = [request.prompt for request in requests]
        (self.folder / f"{os.getpid()}-{self.batches}").write_text("\n".join(prompts))
        for prompt in prompts:
            held = prompt.partition("HOLD ")[2].partition(" ")[0]
            until = time.monotonic() + 60  # a test that failed must not hold up the others
            while held and not Path(held).exists() and time.monotonic() < until:
                time.sleep(0.01)
        if any("NAP" in prompt for prompt in prompts):
            time.sleep(0.02)
        if any("POISON" in prompt for prompt in prompts):
            os._exit(1)
        if any("HEAP" in prompt for prompt in prompts):
            raise RuntimeError(f"keeps its heap: {keeps_heap()}")
        if any("BOOM" in prompt for prompt in prompts):
            raise RuntimeError("boom")
        return super().generate(requests)


@dataclass(frozen=True)
class ObedientSource:
    folder: str
    name: str = "obedient"
    revision: str = "1"
    rules: RequestRules = field(default=Obedient.rules)

    def load(self, batch_size: int | None = None, device: str = "auto") -> Generator:
        return Obedient(batch_size or 4, self.folder)
