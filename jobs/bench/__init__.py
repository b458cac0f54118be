"""`imagegen bench`: measurements side by side in one run; medians of interleaved rounds; one JSON line."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.errors import InvalidJob

from ..exit_codes import ExitCode
from ..report import print_json, say

PARTS = ("pipeline", "encoder", "memory", "decoder")


def bench_command(images: int, rounds: int, parts: Sequence[str]) -> int:
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise InvalidJob(f"no part of the benchmark is called {', '.join(unknown)}; known are: {', '.join(PARTS)}")
    chosen = parts or PARTS
    found: dict[str, object] = {}
    if "decoder" in chosen:
        from .decoder import measure_decoder

        say("decoder: the cache beside recomputing, and beside the memory's speed")
        found["decoder"] = measure_decoder(rounds)
    if "pipeline" in chosen:
        from .throughput import measure_pipeline

        say(f"pipeline: {images} images through Ray Data beside the bare model, {rounds} rounds each in turn")
        found["pipeline"] = measure_pipeline(images, rounds)
    if "encoder" in chosen:
        from .throughput import measure_encoder

        say("encoder: a flat-colour generator through the pipeline beside the encoder alone")
        found["encoder"] = measure_encoder(rounds)
    if "memory" in chosen:
        from .memory import measure_memory

        say("memory: the driver's peak with 10,000 and with 1,000,000 rows")
        found["memory"] = measure_memory()
    print_json(found)
    return ExitCode.SUCCESS
