"""Generators that behave badly, and the sources that workers load them from.

Top-level classes, so that pickle finds them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagen_model.flat_colour import FlatColourGenerator
from imagen_model.generation import GenerationRequest, Generator, RequestRules, Result
from tests.heap import keeps_heap


class TestGenerator(FlatColourGenerator):
    """Paints as `flat-colour`, and does what words in the prompt say.

    `sleep` (seconds a request); `BOOM` raises; `NOMEM` raises MemoryError; `POISON` kills the process;
    `FAILS-WITHOUT <path>` raises unless the file is there; `HEAP` raises and says whether its process keeps memory.
    """

    __test__ = False

    def __init__(self, batch_size: int, sleep: float, log: Path | None = None) -> None:
        super().__init__(batch_size)
        self.sleep = sleep
        self.log = log

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Result]:
        if self.log is not None:
            with self.log.open("a") as log:
                log.write(f"{len(requests)}\n")
        time.sleep(self.sleep * len(requests))
        for request in requests:
            self.obey(request.prompt)
        return super().generate(requests)

    def obey(self, prompt: str) -> None:
        if "BOOM" in prompt:
            raise RuntimeError("boom")
        if "NOMEM" in prompt:
            raise MemoryError("no memory")
        if "POISON" in prompt:
            os._exit(1)
        if "HEAP" in prompt:
            raise RuntimeError(f"keeps its heap: {keeps_heap()}")
        if "FAILS-WITHOUT " in prompt and not Path(prompt.partition("FAILS-WITHOUT ")[2]).exists():
            raise RuntimeError("not yet")


@dataclass(frozen=True)
class TestSource:
    """Loads a `TestGenerator`, or fails to (`broken`)."""

    __test__ = False

    sleep: float = 0.0
    broken: str = ""
    pids: str = ""  # a folder in which each worker leaves a file named by its process: a line a batch, its size
    name: str = "flat-colour"
    revision: str = "flat-colour-1"
    rules: RequestRules = field(default=FlatColourGenerator.rules)

    def load(self, batch_size: int | None = None, device: str = "auto") -> Generator:
        if self.broken:
            raise RuntimeError(self.broken)
        log = Path(self.pids, str(os.getpid())) if self.pids else None
        if log is not None:
            log.touch()
        return TestGenerator(batch_size or 16, self.sleep, log)
