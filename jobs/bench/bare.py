"""The same work without a pipeline: one process a core in a bare loop. `python -m jobs.bench.bare` is one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence

from imagen_model.catalog import find_model
from imagen_model.generation import GenerationRequest, Success
from pipelines.encoding import Encoder

from .tables import SUBJECTS


def bare_rate(kind: str, images: int, processes: int) -> float:
    """Images a second of `processes` loops at once, all together; each loads and warms up first."""
    command = [sys.executable, "-m", "jobs.bench.bare", kind, str(images // processes)]
    return images / run_together([command] * processes)


def run_together(wanted: Sequence[list[str]]) -> float:
    """Seconds from when all are let go until the last has ended; each says a line when it is ready, waits for one, and
    tells when it began and ended."""
    commands = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for command in wanted
    ]
    for command in commands:
        assert command.stdout is not None
        command.stdout.readline()  # it has warmed up
    for command in commands:
        assert command.stdin is not None
        command.stdin.write("go\n")
        command.stdin.flush()
    spans = [json.loads(command.communicate()[0]) for command in commands]
    began, ended = min(span[0] for span in spans), max(span[1] for span in spans)
    return ended - began


def requests(count: int, model: str) -> list[GenerationRequest]:
    side = 512 if model == "flat-colour" else None
    return [
        GenerationRequest(SUBJECTS[number % len(SUBJECTS)], number, width=side, height=side) for number in range(count)
    ]


def loop_model(count: int) -> None:
    """Every image of the bundled model, batch after batch, thrown away."""
    generator = find_model("imagen-small").load()
    asked = requests(count, "imagen-small")
    generator.generate(asked[: generator.batch_size])
    began = wait_for_start()
    for start in range(0, count, generator.batch_size):
        generator.generate(asked[start : start + generator.batch_size])
    print(json.dumps([began, time.time()]), flush=True)


def loop_encoder(count: int) -> None:
    """Flat colours made and encoded as PNG of 512x512 pixels, thrown away."""
    generator, encoder = find_model("flat-colour").load(), Encoder("png")
    asked = requests(count, "flat-colour")
    began = wait_for_start()
    for request in asked:
        (result,) = generator.generate([request])
        assert isinstance(result, Success)
        encoder.encode(result.image)
    print(json.dumps([began, time.time()]), flush=True)


def wait_for_start() -> float:
    print("ready", flush=True)
    sys.stdin.readline()
    return time.time()


def main(arguments: Sequence[str]) -> None:
    kind, count = arguments
    {"model": loop_model, "encoder": loop_encoder}[kind](int(count))


if __name__ == "__main__":
    main(sys.argv[1:])
