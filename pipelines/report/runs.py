"""The runs of an output as a person wants to see them: speed over time, what the workers did, what it cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..history import Run
from ..passes import Pass

STEPS = 120  # of a run's time
MOST_LANES = 64  # workers in a timeline
PARTS = ("load", "warm_up", "generate", "wait", "encode", "store", "commit")
NEAR = 0.002  # of a run's time: gaps below are not drawn


@dataclass(frozen=True, slots=True)
class Lane:
    """A worker's time: spans (from, to) in which it had a shard, as shares of the run; `busy` is the model's share."""

    worker: str
    shards: int
    images: int
    busy: float
    spans: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class RunView:
    """Args:
    run: its record; `ended` is set, for a killed run to its last pass.
    outcome: complete, running, killed, stopped, or the error that stopped it.
    rates: images a second in each of `STEPS` equal parts of the run.
    lanes: of the workers, at most `MOST_LANES`; workers: how many there were.
    shares: of all workers' time: start (until a worker's first picture is begun), generate, wait, idle.
    spent: seconds by part, as `Pass.seconds`, over all workers.
    busy: the model's share of the time between a worker's first and last picture, over all workers.
    """

    run: Run
    outcome: str
    images: int
    failed: int
    shards: int
    seconds: float
    images_per_second: float
    rates: tuple[float, ...]
    lanes: tuple[Lane, ...]
    workers: int
    shares: dict[str, float]
    spent: dict[str, float]
    busy: float
    gpu_hours: float
    worker_hours: float
    cost: float | None


def run_views(
    history: Sequence[Run], passes: Sequence[Pass], working: str | None, price: float | None = None
) -> list[RunView]:
    """The last run first. A run without a record (of an exported copy) is made up from its passes.

    Args:
        working: host and process of a run that is at work now.
        price: of a GPU-hour; None for what each run was told.
    """
    by_run: dict[str, list[Pass]] = {run.run: [] for run in history}
    for each in passes:
        by_run.setdefault(each.run, []).append(each)
    known = {run.run: run for run in history}
    runs = [known.get(name) or unrecorded(name, of_run) for name, of_run in by_run.items()]
    runs.sort(key=lambda run: run.begun, reverse=True)
    return [
        view(run, by_run[run.run], working is not None and index == 0, price, run.run in known)
        for index, run in enumerate(runs)
    ]


def unrecorded(name: str, passes: Sequence[Pass]) -> Run:
    begun, ended = min(each.begun for each in passes), max(each.made for each in passes)
    workers = len({each.worker for each in passes})
    return Run(name, "generate", begun, workers, 0.0, 1.0, host="", ended=ended, outcome="complete")


def view(run: Run, passes: list[Pass], working: bool, price: float | None, recorded: bool) -> RunView:
    last = max((each.made for each in passes), default=run.begun)
    first = min((each.begun for each in passes), default=run.begun)
    outcome = run.outcome or ("running" if working else "killed")
    ended = run.ended or (time.time() if outcome == "running" else last)
    seconds = max(ended - run.begun, 1e-9)
    own = workers_of(passes)
    spent = {part: sum(each.seconds.get(part, 0.0) for each in passes) for part in PARTS}
    whole = max(run.workers, len(own)) * seconds
    started = sum(of_worker[0].begun - run.begun for of_worker in own.values())
    working_seconds = sum(max(each.made for each in of_worker) - of_worker[0].begun for of_worker in own.values())
    shares = {part: s / whole for part, s in (("start", started), *((p, spent[p]) for p in ("generate", "wait")))}
    images, failed = sum(each.images for each in passes), sum(each.failed for each in passes)
    gpu_hours = run.gpus * seconds / 3600
    each_hour = run.price_per_gpu_hour if price is None else price
    return RunView(
        run=run,
        outcome=outcome if recorded else "no record",
        images=images,
        failed=failed,
        shards=len(passes),
        seconds=seconds,
        images_per_second=images / (last - first) if last > first and images > failed else 0.0,
        rates=rates(passes, run.begun, seconds),
        lanes=tuple(lane(name, of_worker, run.begun, seconds) for name, of_worker in sorted(own.items())[:MOST_LANES]),
        workers=len(own),
        shares=shares | {"idle": max(0.0, 1 - sum(shares.values()))},
        spent=spent,
        busy=spent["generate"] / working_seconds if working_seconds else 0.0,
        gpu_hours=gpu_hours,
        worker_hours=run.workers * seconds / 3600,
        cost=None if each_hour is None else each_hour * gpu_hours,
    )


def workers_of(passes: Sequence[Pass]) -> dict[str, list[Pass]]:
    found: dict[str, list[Pass]] = {}
    for each in sorted(passes, key=lambda each: each.begun):
        found.setdefault(each.worker, []).append(each)
    return found


def lane(worker: str, passes: Sequence[Pass], begun: float, seconds: float) -> Lane:
    spans: list[tuple[float, float]] = []
    for each in passes:
        start, end = (each.begun - begun) / seconds, (each.made - begun) / seconds
        if spans and start - spans[-1][1] < NEAR:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))
    busy = sum(each.seconds.get("generate", 0.0) for each in passes) / seconds
    return Lane(worker, len(passes), sum(each.images for each in passes), busy, tuple(spans))


def rates(passes: Sequence[Pass], begun: float, seconds: float) -> tuple[float, ...]:
    """A shard's pictures count as made evenly over its time."""
    step = seconds / STEPS
    made = [0.0] * STEPS
    for each in passes:
        start, end = (each.begun - begun) / step, (each.made - begun) / step
        length = max(end - start, 1e-9)
        for index in range(max(0, int(start)), min(STEPS, int(end) + 1)):
            overlap = min(end, index + 1) - max(start, index)
            made[index] += each.images * max(0.0, overlap) / length / step
    return tuple(made)
