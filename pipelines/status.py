"""How far the run in an output folder is, from its plan, one listing and a few columns of the manifests."""

from __future__ import annotations

from dataclasses import dataclass

from .census import count_shards, failure_examples
from .lease import living_holder
from .manifest import finished_shards
from .plan import load_plan
from .storage import Store, open_store


@dataclass(frozen=True, slots=True)
class Status:
    """Args:
    rows, shards: that the plan covers.
    rows_done, shards_done: finished.
    images, succeeded, failed, filtered, codes, bytes: in finished shards; `images` and `codes` count those that failed
        or were held back by the model's safety checker (filtered) too.
    examples: what one failed row says, for each of `codes`.
    running: host and process of a run that is at work now; None for none.
    """

    output: str
    prompts: str
    model: str
    model_revision: str
    rows: int
    rows_done: int
    shards: int
    shards_done: int
    images: int
    succeeded: int
    failed: int
    filtered: int
    codes: dict[str, int]
    examples: dict[str, str]
    bytes: int
    running: str | None

    @property
    def complete(self) -> bool:
        return self.shards_done == self.shards


def read_status(output: str) -> Status:
    """Raises:
    NoPlan: the folder holds no run.
    """
    store = open_store(output)
    plan = load_plan(store)
    finished = finished_shards(store)
    done = [(number, stop - start) for number, start, stop in plan.bounds() if number in finished]
    census = count_shards(store, [number for number, _ in done])
    return Status(
        output=output,
        prompts=plan.prompts,
        model=plan.settings.model,
        model_revision=plan.settings.model_revision,
        rows=plan.rows,
        rows_done=sum(rows for _, rows in done),
        shards=plan.shards,
        shards_done=len(done),
        images=census.images,
        succeeded=census.succeeded,
        failed=census.failed,
        filtered=census.filtered,
        codes=dict(census.codes.most_common()),
        examples=failure_examples(store, census),
        bytes=census.bytes,
        running=running(store),
    )


def running(store: Store) -> str | None:
    holder = living_holder(store)
    return None if holder is None else f"{holder.host}:{holder.pid}"
