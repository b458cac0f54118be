"""The same work without a pipeline: one process a core in a bare loop. `python -m jobs.bench.bare` is one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from imagen_model.catalog import find_model
from imagen_model.generation import GenerationRequest, Success
from pipelines.encoding import Encoder

from .tables import SUBJECTS


@dataclass(frozen=True, slots=True)
class Spent:
    """Args:
    seconds: from when all loops were let go until the last was done.
    core_seconds: of a core, over all of them.
    """

    seconds: float
    core_seconds: float


class Loops:
    """Processes that have warmed up and wait for a line that says what to make."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self.processes = processes

    def make(self, *numbers: int) -> Spent:
        """The same line to every process; each answers when it began and ended, and what it took of a core."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(" ".join(map(str, numbers)) + "\n")
            process.stdin.flush()
        answers = [answer_of(process) for process in self.processes]
        seconds = max(ended for _, ended, _ in answers) - min(began for began, _, _ in answers)
        return Spent(seconds, sum(spent for *_, spent in answers))


@contextmanager
def loops_running(command: Sequence[str], processes: int) -> Iterator[Loops]:
    """Raises:
    RuntimeError: one of them ended.
    """
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    try:
        for process in started:
            answer_of(process)  # it has warmed up
        yield Loops(started)
    finally:
        for process in started:
            process.communicate()  # which ends its input, and so the loop


def answer_of(process: subprocess.Popen[str]) -> list[float]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended; see what it says above")
    found: list[float] = json.loads(line)
    return found


def answer_lines(make: Callable[..., None]) -> None:
    """What a loop does: say that it is ready, then call `make` with the whole numbers of every line, and answer."""
    print([], flush=True)
    for line in sys.stdin:
        began, spent = time.time(), time.process_time()
        make(*map(int, line.split()))
        print(json.dumps([began, time.time(), time.process_time() - spent]), flush=True)


def bare_loops(kind: str, processes: int) -> AbstractContextManager[Loops]:
    """Of those below, which take one number: of images that each makes."""
    return loops_running([sys.executable, "-m", "jobs.bench.bare", kind], processes)


def bare_rate(kind: str, images: int, processes: int) -> float:
    """Images a second of `processes` loops at once, all together; each loads and warms up first."""
    share = images // processes
    with bare_loops(kind, processes) as loops:
        return share * processes / loops.make(share).seconds


def requests(count: int, model: str) -> list[GenerationRequest]:
    side = 512 if model == "flat-colour" else None
    return [
        GenerationRequest(SUBJECTS[number % len(SUBJECTS)], number, width=side, height=side) for number in range(count)
    ]


def loop_model() -> None:
    """Images of the bundled model, batch after batch, thrown away."""
    generator = find_model("imagen-small").load()
    generator.generate(requests(generator.batch_size, "imagen-small"))

    def make(count: int) -> None:
        asked = requests(count, "imagen-small")
        for start in range(0, count, generator.batch_size):
            generator.generate(asked[start : start + generator.batch_size])

    answer_lines(make)


def loop_encoder() -> None:
    """Flat colours made and encoded as PNG of 512x512 pixels, thrown away."""
    generator, encoder = find_model("flat-colour").load(), Encoder("png")

    def make(count: int) -> None:
        for request in requests(count, "flat-colour"):
            (result,) = generator.generate([request])
            assert isinstance(result, Success)
            encoder.encode(result.image)

    answer_lines(make)


if __name__ == "__main__":
    {"model": loop_model, "encoder": loop_encoder}[sys.argv[1]]()
