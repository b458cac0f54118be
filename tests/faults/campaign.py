"""Faulted runs one after another, each rerun until done and compared with the run that nothing disturbed."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .kinds import KINDS, release
from .outcome import Outcome, Verdict, judge
from .scene import Stuck, make_bucket, quiet_outcome, scene, write_prompts


@dataclasses.dataclass
class Run:
    """One faulted run. `reruns`: how many further runs it took until the job was done; `stuck`: it never was."""

    seed: int
    kind: str
    layout: str
    seconds: float
    reruns: int
    verdict: Verdict
    log: list[str]
    stuck: str = ""

    @property
    def good(self) -> bool:
        return self.verdict.good and not self.stuck


def campaign(gateway: Path, seeds: Sequence[int], kinds: Sequence[str], layouts: Sequence[str]) -> Iterator[Run]:
    """Each seed strikes with one kind, in turn; all else is drawn from the seed."""
    make_bucket()
    prompts = write_prompts("prompts")
    quiet: dict[str, Outcome] = {}
    for number, seed in enumerate(seeds):
        kind = kinds[number % len(kinds)]
        layout = random.Random(seed).choice(layouts)
        if layout not in quiet:
            quiet[layout] = quiet_outcome(layout, prompts)
        yield faulted(gateway, seed, kind, layout, prompts, quiet[layout])


def faulted(gateway: Path, seed: int, kind: str, layout: str, prompts: str, quiet: Outcome) -> Run:
    begun = time.monotonic()
    verdict, reruns, stuck = Verdict(), 0, ""
    with scene(gateway, f"run-{seed}", random.Random(f"{seed} {kind}").randrange(2**32), layout, prompts) as stage:
        try:
            KINDS[kind](stage)
            done = stage.drivers[-1].returncode == 0
            stage.proxy.faults = type(stage.proxy.faults)()
            stage.sleep = 0.0
            reruns = 0 if done else stage.until_done()
            verdict = judge(stage.store, quiet, stage.poisoned)
        except Stuck as error:
            stuck = str(error)
        finally:
            release(stage)
    return Run(seed, kind, layout, round(time.monotonic() - begun, 1), reruns, verdict, stage.log, stuck)


def table(runs: Sequence[Run]) -> str:
    """A line for each kind, and their sums."""
    head = (
        f"{'fault':<16} {'runs':>5} {'lost':>5} {'twice':>5} {'orphans':>7} {'different':>9} {'other':>6} {'reruns':>6}"
    )
    lines = [head]
    for name in [*dict.fromkeys(run.kind for run in runs), "all"]:
        mine = [run for run in runs if name in ("all", run.kind)]
        total: Callable[[str], int] = lambda field, mine=mine: sum(getattr(run.verdict, field) for run in mine)  # type: ignore[misc] # noqa: E731
        other = total("unverified") + total("unexpected_failures") + sum(bool(run.stuck) for run in mine)
        lines.append(
            f"{name:<16} {len(mine):>5} {total('lost'):>5} {total('twice'):>5} {total('orphans'):>7} "
            f"{total('different'):>9} {other:>6} {sum(run.reruns for run in mine):>6}"
        )
    return "\n".join(lines)
