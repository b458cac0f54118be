"""Makes the failed rows of finished shards again and rewrites those shards' manifests, nothing else.

The plan stays, so a retry helps against what passes (memory, a store's hiccup, a worker that died), and leaves
rows that are wrong in themselves failed, with one more attempt counted. Each manifest is replaced in one step:
a retry that is cut short loses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from imagen_model.generation import ErrorCode
from imagen_model.open_models.options import ModelOptions

from .agreement import file_differences, settings_differences
from .batch import summarise, unheard
from .card import write_card
from .census import count_shard, count_shards
from .content_credentials import check_credentials
from .credential_files import CredentialFiles
from .encoding import Encoder
from .errors import InvalidJob, PlanMismatch
from .job import FailureBudget, Pool
from .lease import Lease
from .manifest import finished_shards
from .plan import Plan, load_plan, locate
from .progress import Summary, Tally
from .prompt_table import PromptTable, open_table, planned_files
from .reporting import reporting
from .running import Follow, Ground, Startup, run_pending
from .stage import Source
from .steps import step
from .storage import Store, check_writable, open_store
from .table_files import TableFiles
from .weights import find_source
from .words import counted


def retry_failed(
    output: str,
    codes: Collection[ErrorCode] | None = None,
    prompts: str | None = None,
    pool: Pool | None = None,
    follow: Follow = unheard,
    source: Source | None = None,
    log_file: str | None = None,
    report: bool = True,
    signing: CredentialFiles | None = None,
    offload: str | None = None,
) -> Summary:
    """Args:
        codes: of the failures to make again; None for all.
        prompts: where the table is now; None for where it was.
        source: the model; None to find the one that the plan names.
        report: write `report.html` at the end.
        signing: the files of the certificate and key with which the run's pictures were signed.
        offload: as in `ModelOptions`; it changes no picture, so the plan does not know it.

    Returns:
        A summary whose `made_images` and `made_failed` count the rows that were made again.

    Raises:
        NoPlan: the folder holds no run.
        InvalidRequest: there is no such offload.
        PlanMismatch: the table or the model has changed since.
    """
    startup = Startup(time.time(), {})
    step(f"looking for failed rows in {output}")
    store = open_store(output)
    plan = load_plan(store)
    source = source or find_source(plan.called, replace(ModelOptions.of(plan.settings.options), offload=offload))
    files = TableFiles(prompts or plan.prompts, plan.input_format)
    check_writable(store)
    with Lease(store) as lease:
        store.sweep()
        planned = [file.name for file in plan.files]
        table = open_table(files, plan.prompt_column, store, planned, rest=False)
        if plan.settings.credentials is not None and signing is None:
            raise InvalidJob(f"the pictures of {output} are signed; give --c2pa-certificate and --c2pa-key")
        credentials = check_credentials(signing, Encoder(plan.settings.image_format, plan.settings.quality))
        check_same(plan, table, source, credentials, output)
        ground = Ground(store, lease, plan, table, source, signing)
        wanted = frozenset(codes) if codes is not None else frozenset({""})
        failures = failing_shards(store, plan, wanted)
        pending = list(locate(plan, table, None, set(failures)))
        tally = Tally(0, 0, len(pending), 0, 0, known_total=sum(failures.values()))
        startup.mark("plan", startup.begun)
        workers = 0
        with reporting(store.url, report and bool(pending)):
            if pending:
                step(f"{counted(sum(failures.values()), 'failed row')} in {counted(len(pending), 'shard')}")
                follow(tally.progress())
                workers = run_pending(
                    ground, pending, pool or Pool(), tally, startup, follow, FailureBudget(), log_file, wanted
                )
            finished = sorted(finished_shards(store))
            whole = count_shards(store, finished)
            complete = len(finished) >= plan.shards
            if complete:
                write_card(store, plan, whole, finished, ground.recipe().schema)
            store.sweep()
        return replace(summarise(ground, tally, startup, whole, workers), rows=plan.rows, complete=complete)


def check_same(plan: Plan, table: PromptTable, source: Source, credentials: str | None, output: str) -> None:
    now = replace(plan.settings, model=source.name, model_revision=source.revision, credentials=credentials)
    differences = [*settings_differences(plan.settings, now), *file_differences(plan.files, planned_files(table))]
    if differences:
        raise PlanMismatch(output, differences)


def failing_shards(store: Store, plan: Plan, codes: frozenset[str]) -> dict[int, int]:
    """Finished shards that hold failures of these codes, and how many."""
    finished = finished_shards(store)
    numbers = [number for number, _, _ in plan.bounds() if number in finished]
    with ThreadPoolExecutor(store.threads) as threads:
        found = threads.map(lambda number: count_shard(store, number), numbers)
        counts = {
            number: census.failed if "" in codes else sum(census.codes[code] for code in codes)
            for number, census in zip(numbers, found, strict=True)
        }
    return {number: count for number, count in counts.items() if count}
