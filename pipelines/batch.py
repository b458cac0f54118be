"""The main job: a prompt table becomes an image dataset. The whole flow is `run_batch`."""

from __future__ import annotations

import dataclasses
import tempfile
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from imagen_model.open_models.options import AUTO, ModelOptions

from .agreement import agree, check_output, stored_or_none
from .calibrating import settled
from .card import write_card
from .census import Census, count_shards, failure_examples
from .columns import doubtful
from .content_credentials import check_credentials
from .encoding import Encoder
from .job import DEFAULT_BATCH, BatchJob, FailureBudget, Pool
from .lease import Lease
from .manifest import finished_shards
from .plan import PLAN, Plan, Settings, choose_shard_rows, cut, locate
from .progress import Progress, Summary, Tally
from .prompt_table import PromptTable, open_table, planned_files
from .reporting import reporting
from .running import Follow, Ground, Startup, run_pending
from .shard_reader import Shard
from .stage import Source
from .steps import step
from .storage import LocalStore, Store, check_writable, open_store
from .table_files import TableFiles
from .weights import find_source
from .words import counted

ENDPOINT_WORKERS = 2  # each has a batch of requests under way


def unheard(_: Progress) -> None:
    """For callers that do not follow."""


def run_batch(job: BatchJob, follow: Follow = unheard, source: Source | None = None) -> Summary:
    """Make what is not made yet; afterwards the output holds every row, as an image or as a failure.

    Args:
        follow: called after each shard.
        source: the model; None to find `job.model`.

    Raises:
        SetupError, ModelNotFound: nothing was started.
        StoreError, WorkersFailed, TooManyFailures: stopped; the same call goes on where it stopped.
        KeyboardInterrupt: likewise.
    """
    startup = Startup(time.time(), {})
    job = as_planned(job)
    found = source or source_of(job)
    job.check_model_takes_it(found.rules)
    files = TableFiles(job.prompts, job.input_format)
    step(f"reading the prompts {job.prompts} and the output {job.output}")
    store = open_store(job.output)
    check_output(store)
    check_writable(store)
    with Lease(store) as lease:
        store.sweep()
        if job.options.micro_batch == AUTO:
            plan_job(job, found, files, store, store)  # what is wrong with the job is said before minutes of measuring
            job = measured(job)
            found = source or source_of(job)
        source = found
        plan, table = plan_job(job, source, files, store, store)
        data = plan.to_json()
        if not store.exists(PLAN) or store.read(PLAN) != data:
            store.put(PLAN, data)
        ground = Ground(store, lease, plan, table, source, job.credential_files)
        done = finished_shards(store)
        bounds = list(plan.bounds(job.limit))
        missing = {number for number, _, _ in bounds} - done
        pending = list(locate(plan, table, job.limit, missing))
        tally = start_tally(bounds, pending, plan.settings.images_per_prompt)
        startup.mark("plan", startup.begun)
        workers = 0
        with reporting(store.url, job.report and bool(pending)):
            if pending:
                shards = counted(tally.shards_total, "shard")
                step(f"{counted(tally.rows_total, 'row')} in {shards}, {tally.shards_done:,} done before")
                follow(tally.progress())
                budget = FailureBudget.parse(job.max_failures)
                workers = run_pending(ground, pending, pool_of(job), tally, startup, follow, budget, job.log_file)
            skipped = sorted(number for number, _, _ in bounds if number not in missing)
            made = Census(tally.images, tally.codes, tally.bytes, tally.places)
            whole = count_shards(store, skipped) + made
            summary = summarise(ground, tally, startup, whole, workers)
            if summary.complete and tally.shards_total == plan.shards:
                write_card(store, plan, whole, range(plan.shards), ground.recipe().schema)
            store.sweep()
        return summary


def as_planned(job: BatchJob) -> BatchJob:
    """The job with the stored plan's micro-batch, where there is a plan and `auto` was asked for."""
    if job.options.micro_batch != AUTO:
        return job
    stored = stored_or_none(open_store(job.output))
    return job if stored is None else with_micro_batch(job, stored.settings.options.get("micro_batch"))


def measured(job: BatchJob) -> BatchJob:
    """The job with the best number for a micro-batch that is `auto`, at its size or the model's own."""
    wanted = job.request("x")
    size = None if wanted.width is None or wanted.height is None else (wanted.width, wanted.height)
    options = settled(job.model, job.options, job.pool, size, wanted.num_inference_steps)
    return dataclasses.replace(job, options=options)


def with_micro_batch(job: BatchJob, rows: int | str | None) -> BatchJob:
    return dataclasses.replace(job, options=dataclasses.replace(job.options, micro_batch=rows))


def source_of(job: BatchJob) -> Source:
    if job.endpoint is None:
        step(f"reading the model {job.model}")
        return find_source(job.model, job.options)
    step(f"asking the server at {job.endpoint}")
    from .endpoint import find_endpoint

    return find_endpoint(job.endpoint, job.model)


def pool_of(job: BatchJob) -> Pool:
    """The job's pool; one that asks a server needs no GPU, and few processes."""
    if job.endpoint is None:
        return job.pool
    return dataclasses.replace(job.pool, gpus_per_worker=0.0, workers=job.pool.workers or ENDPOINT_WORKERS)


def start_tally(bounds: list[tuple[int, int, int]], pending: Iterable[Shard], images_a_row: int) -> Tally:
    rows = sum(stop - start for _, start, stop in bounds)
    shards = list(pending)
    left = sum(shard.stop - shard.start for shard in shards)
    return Tally(rows, rows - left, len(bounds), len(bounds) - len(shards), images_a_row)


def plan_job(
    job: BatchJob, source: Source, files: TableFiles, store: Store, converted: Store
) -> tuple[Plan, PromptTable]:
    """The plan as it is to be stored, and the table with its files in the plan's order.

    Args:
        store: the output. Only read.
        converted: where a table that is not Parquet is written as Parquet.

    Raises:
        TableError, PlanMismatch: as their texts say.
    """
    stored = stored_or_none(store)
    first = [file.name for file in stored.files] if stored is not None else []
    table = open_table(files, job.prompt_column, converted, first)
    encoder = Encoder(job.image_format, job.quality)
    settings = Settings(
        model=source.name,
        model_revision=source.revision,
        parameters=job.parameters(),
        images_per_prompt=job.n,
        seed=job.seed,
        image_format=job.image_format,
        quality=encoder.used_quality,
        metadata=job.metadata,
        credentials=check_credentials(job.credential_files, encoder),
        options=planned_options(stored, job.options),
    )
    wanted = Plan(
        prompts=files.absolute,
        input_format=job.input_format,
        prompt_column=job.prompt_column,
        called=job.model,
        files=planned_files(table),
        columns={field.name: str(field.type) for field in table.schema},
        parts=table.columns.parts,
        settings=settings,
        output_format=job.output_format,
        segments=(),
    )
    rows = table.rows if job.limit is None else min(job.limit, table.rows)
    planned = stored.rows if stored is not None else 0
    chosen = job.shard_rows or choose_shard_rows(
        max(rows - planned, 1), job.pool.expected_workers(), job.pool.batch_size or DEFAULT_BATCH
    )
    if stored is None:
        for column, part in doubtful(table.columns):
            warnings.warn(f"the column {column!r} passes through; rename it if {part} is meant", stacklevel=2)
        return dataclasses.replace(wanted, segments=cut((), rows, chosen)), table
    return agree(stored, wanted, job, table, chosen), table


def planned_options(stored: Plan | None, options: ModelOptions) -> Mapping[str, object]:
    """What decides pictures; as the stored plan says it where that means the same, for its adapters' paths may be
    relative."""
    if stored is not None and ModelOptions.of(stored.settings.options).pinned() == options.pinned():
        return stored.settings.options
    return options.pinned()


def summarise(ground: Ground, tally: Tally, startup: Startup, whole: Census, workers: int) -> Summary:
    """Args:
    whole: counts over every finished shard.
    """
    plan = ground.plan
    return Summary(
        output=ground.store.url,
        complete=tally.shards_done + tally.made_shards == tally.shards_total,
        rows=tally.rows_total,
        planned_rows=plan.rows,
        images=whole.images,
        succeeded=whole.succeeded,
        failed=whole.failed,
        filtered=whole.filtered,
        codes=dict(whole.codes.most_common()),
        examples=failure_examples(ground.store, whole),
        bytes=whole.bytes,
        made_images=tally.images,
        made_failed=tally.failed,
        shards=tally.shards_total,
        shards_made=tally.made_shards,
        shards_skipped=tally.shards_done,
        images_per_second=round(tally.rate(), 3),
        seconds=round(time.time() - startup.begun, 3),
        startup=startup.parts,
        workers=workers,
        model=plan.settings.model,
        model_revision=plan.settings.model_revision,
    )


@dataclass(frozen=True, slots=True)
class Preview:
    """What a job would do. `images` is an estimate where rows bring their own `n`; a micro-batch that is `auto` is not
    measured for it."""

    rows: int
    files: int
    shards: int
    shards_done: int
    images: int
    images_left: int
    columns: dict[str, str]
    passed_columns: tuple[str, ...]
    model: str
    model_revision: str
    micro_batch: int | str | None = None


def preview(job: BatchJob, source: Source | None = None) -> Preview:
    """The job's plan without touching the output. Raises what `run_batch` would before it starts."""
    job = as_planned(job)
    source = source or source_of(job)
    job.check_model_takes_it(source.rules)
    files = TableFiles(job.prompts, job.input_format)
    store = open_store(job.output)
    check_output(store)
    with tempfile.TemporaryDirectory(prefix="imagegen-") as folder:
        plan, table = plan_job(job, source, files, store, LocalStore(folder))
    bounds = list(plan.bounds(job.limit))
    done = finished_shards(store)
    rows = sum(stop - start for _, start, stop in bounds)
    left = sum(stop - start for number, start, stop in bounds if number not in done)
    return Preview(
        rows=rows,
        files=len(table.files),
        shards=len(bounds),
        shards_done=sum(number in done for number, _, _ in bounds),
        images=rows * job.n,
        images_left=left * job.n,
        columns=dict(table.columns.parts),
        passed_columns=table.columns.others,
        model=source.name,
        model_revision=source.revision,
        micro_batch=job.options.micro_batch,
    )
