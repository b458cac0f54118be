"""Runs pending shards to their end: starts the workers, adds up their records, stops when it must.

Making shards and retrying failed rows are the same here; `batch.py` and `retry.py` say which shards.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from . import errors
from .attempts import ATTEMPTS
from .census import Census, failure_examples
from .columns import ColumnMap
from .credential_files import CredentialFiles
from .errors import OutputLocked, PipelineError, Stopped, TooManyFailures, WorkersFailed
from .history import Run, recorded
from .job import FailureBudget, Pool
from .lease import Lease
from .manifest import ManifestSchema
from .plan import Plan
from .progress import Progress, Tally
from .prompt_table import PromptTable
from .rows import Defaults
from .shard_reader import Shard
from .stage import Record, Source, StageConfig
from .steps import step
from .stopping import STOP
from .storage import LocalStore, Store
from .words import counted
from .work import Recipe

Follow = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Ground:
    """What every run stands on: an output that is ours, a plan, and the table that it names."""

    store: Store
    lease: Lease
    plan: Plan
    table: PromptTable
    source: Source
    credential_files: CredentialFiles | None = None

    def recipe(self) -> Recipe:
        settings = self.plan.settings
        columns = ColumnMap(dict(self.plan.parts), self.table.columns.others)
        names = tuple(dict.fromkeys((settings.model, self.plan.called)))
        defaults = Defaults(names, settings.seed, settings.images_per_prompt, settings.parameters)
        schema = ManifestSchema.of(self.table.schema, columns, settings.parameters)
        return Recipe(
            settings,
            columns,
            defaults,
            self.source.rules,
            schema,
            settings.fingerprint(),
            self.plan.output_format,
            self.table.folder,
        )


@dataclass(slots=True)
class Startup:
    """Seconds of each part until the first image, as they pass."""

    begun: float
    parts: dict[str, float]

    def mark(self, part: str, since: float) -> float:
        now = time.time()
        self.parts[part] = round(now - since, 3)
        return now


def run_pending(
    ground: Ground,
    pending: Sequence[Shard],
    pool: Pool,
    tally: Tally,
    startup: Startup,
    follow: Follow,
    budget: FailureBudget,
    log_file: str | None,
    retry_codes: frozenset[str] | None = None,
) -> int:
    """Make the shards; returns the number of workers.

    Raises:
        TooManyFailures: more failed than the budget allows; shards that had begun are finished first.
        Stopped: somebody asked for it (`stopping.request_stop`); likewise.
        StoreError: the output is full or denied.
        WorkersFailed: the model cannot be loaded, or Ray failed.
        OutputLocked: another run took the output over.
    """
    since = time.time()
    tell_of_ray(pool)
    from .ray_flow import choose_workers, ray_running, run_shards

    since = startup.mark("imports", since)
    store, run_id = ground.store, uuid.uuid4().hex
    config = StageConfig(
        store.url, run_id, ground.recipe(), pool.batch_size, pool.device, STOP, retry_codes, ground.credential_files
    )
    rows = {shard.number: shard.stop - shard.start for shard in pending}
    with ray_running(pool, log_file or default_log(store)):
        workers = choose_workers(pool, len(pending))
        tally.workers = workers.count
        step(loading(ground.source.name, workers.count, len(pending)))
        since = startup.mark("ray", since)
        run = Run(
            run=run_id,
            kind="generate" if retry_codes is None else "retry",
            begun=startup.begun,
            workers=workers.count,
            gpus_per_worker=workers.gpus,
            cpus_per_worker=workers.cpus,
            price_per_gpu_hour=pool.price_per_gpu_hour,
        )
        with recorded(store, run):
            try:
                records = run_shards(pending, ground.table.schema, ground.source, config, workers)
                with closing(records):
                    follow_records(records, ground, tally, rows, follow, budget, config)
            finally:
                if tally.first_image_at:
                    startup.parts["first_image"] = round(max(0.0, tally.first_image_at - since), 3)
                run.startup, run.images, run.failed = startup.parts, tally.images, tally.failed
                if store.exists(STOP):
                    store.delete(STOP)
    return workers.count


def follow_records(
    records: Iterable[Record],
    ground: Ground,
    tally: Tally,
    rows: dict[int, int],
    follow: Follow,
    budget: FailureBudget,
    config: StageConfig,
) -> None:
    exceeded: int | None = None
    stopped = False
    for record in records:
        if record.fatal is not None:
            raise known_error(record)
        if ground.lease.lost:
            raise OutputLocked(f"{config.output} was taken over by another run; this one stops")
        if not record.skipped:
            tally.add(record, rows[record.shard])
            follow(tally.progress())
        if exceeded is None and not stopped:
            stopped = record.skipped
            allowed = budget.allowed(tally.total())
            if allowed is not None and tally.failed > allowed:
                exceeded = allowed
                ground.store.put(config.stop_key, b"")
        if (exceeded is not None or stopped) and not in_flight(ground.store, config.run_id):
            break
    if exceeded is not None:
        examples = failure_examples(ground.store, Census(codes=tally.codes, places=tally.places))
        shown = "".join(f"\n  {code} {tally.codes[code]:,}, such as {text}" for code, text in examples.items())
        raise TooManyFailures(
            f"{tally.failed} images failed, at most {exceeded} may; finished shards stay: run the same command again "
            f"with a higher max_failures, or fix the table. The failures:{shown}"
        )
    if stopped:
        progress = tally.progress()
        raise Stopped(
            f"stopped as asked, with {progress.shards_done:,} of {progress.shards_total:,} shards done; "
            "run the same command again to go on"
        )


def in_flight(store: Store, run_id: str) -> bool:
    """Whether a shard that this run began is not committed yet."""
    for found in list(store.list(ATTEMPTS)):
        try:
            if json.loads(store.read(found.key)).get("run_id") == run_id:
                return True
        except (FileNotFoundError, ValueError):
            continue
    return False


def known_error(record: Record) -> PipelineError:
    """The error that a worker met, with its own type again."""
    kind = getattr(errors, record.fatal_kind, WorkersFailed)
    if not (isinstance(kind, type) and issubclass(kind, PipelineError)):
        kind = WorkersFailed
    return kind(record.fatal)


def loading(name: str, workers: int, shards: int) -> str:
    """The step that lasts until the first shard is done."""
    return f"loading {name} on {counted(workers, 'worker')}; then the first of {counted(shards, 'shard')}"


def tell_of_ray(pool: Pool) -> None:
    """Before it is imported, which takes seconds by itself."""
    step("starting Ray on this machine" if pool.cluster is None else f"joining the Ray cluster at {pool.cluster}")


def default_log(store: Store) -> str | None:
    return store.child_url(".run/ray.log") if isinstance(store, LocalStore) else None
