"""The captioning job: pictures become a table of alt texts. Resumed by listing, as the main job is.

```
OUTPUT/captions/00042.parquet   one row a picture, failures included; its existence means that the shard is done
OUTPUT/.run/captions.json       the pictures and the captioner that this output was made with
```
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from imagen_model.captioner_source import CaptionerSource, find_captioner

from .caption_stage import CAPTIONS, CaptionConfig, CaptionStage, captions_key
from .census import Census, census_of, examples
from .errors import Difference, ForeignOutput, OutputLocked, PlanMismatch
from .job import DEFAULT_BATCH, Pool
from .lease import Lease
from .manifest import COUNTS
from .pictures import COLUMNS, Pictures, find_pictures
from .progress import Tally
from .running import Follow, default_log, known_error, loading, tell_of_ray
from .steps import step
from .storage import Store, check_writable, open_store

PLAN = ".run/captions.json"


@dataclass(frozen=True, slots=True)
class CaptionJob:
    """Args:
    images: folder or URL of a run of this program, or its manifest; or a folder, a file or a glob of pictures.
    output: folder or URL of the captions.
    model: as `find_captioner` takes it.
    log_file: where Ray's messages go; None for `.run/ray.log` in a local output.
    """

    images: str
    output: str
    model: str = "imagen-small"
    log_file: str | None = None
    pool: Pool = field(default_factory=Pool)


@dataclass(frozen=True, slots=True)
class CaptionSummary:
    """Args:
    pictures, succeeded, failed, codes: of the whole output, earlier runs included.
    examples: what one picture of each of `codes` failed with.
    made: pictures captioned or refused by this run; pictures_per_second: of them.
    shards, shards_made: in all; by this run.
    """

    output: str
    pictures: int
    succeeded: int
    failed: int
    codes: dict[str, int]
    examples: dict[str, str]
    made: int
    shards: int
    shards_made: int
    pictures_per_second: float
    seconds: float
    workers: int
    model: str
    model_revision: str


def unheard(_: object) -> None:
    """For callers that do not follow."""


def run_captioning(job: CaptionJob, follow: Follow = unheard) -> CaptionSummary:
    """Caption what is not captioned yet; afterwards every picture has a row, with a text or with an error code.

    Raises:
        SetupError, ModelNotFound: nothing was started.
        StoreError, WorkersFailed: stopped; the same call goes on where it stopped.
        KeyboardInterrupt: likewise.
    """
    begun = time.time()
    step(f"reading the captioner of {job.model}")
    source = find_captioner(job.model)
    step(f"looking for pictures in {job.images}")
    pictures = find_pictures(job.images)
    store = open_store(job.output)
    agree(store, job, source, pictures)
    check_writable(store)
    with Lease(store) as lease:
        store.sweep()
        pictures.write_listing(store)
        if not store.exists(PLAN):
            store.put(PLAN, plan_bytes(job, source, pictures))
        done = {number for number in pictures.rows if number in finished(store)}
        missing = set(pictures.rows) - done
        rows_done = sum(pictures.rows[number] for number in done)
        tally = Tally(sum(pictures.rows.values()), rows_done, len(pictures.rows), len(done), 1)
        workers = run_missing(job, source, pictures, store, lease, missing, tally, follow) if missing else 0
        whole = sum((count(store, number) for number in sorted(done)), Census())
        whole += Census(tally.images, tally.codes, tally.bytes, tally.places)
        store.sweep()
    return CaptionSummary(
        output=store.url,
        pictures=whole.images,
        succeeded=whole.succeeded,
        failed=whole.failed,
        codes=dict(whole.codes.most_common()),
        examples=failure_examples(store, whole),
        made=tally.images,
        shards=len(pictures.rows),
        shards_made=tally.made_shards,
        pictures_per_second=round(tally.rate(), 3),
        seconds=round(time.time() - begun, 3),
        workers=workers,
        model=source.name,
        model_revision=source.revision,
    )


def run_missing(
    job: CaptionJob,
    source: CaptionerSource,
    pictures: Pictures,
    store: Store,
    lease: Lease,
    missing: set[int],
    tally: Tally,
    follow: Follow,
) -> int:
    """Caption these shards; returns the number of workers."""
    tell_of_ray(job.pool)
    from .ray_flow import choose_workers, ray_running, run_shards

    follow(tally.progress())
    batch = job.pool.batch_size or DEFAULT_BATCH
    config = CaptionConfig(pictures.root, pictures.layout, store.url, batch, job.pool.device)
    with ray_running(job.pool, job.log_file or default_log(store)):
        workers = choose_workers(job.pool, len(missing))
        step(loading(f"the captioner of {source.name}", workers.count, len(missing)))
        shards = list(pictures.shards(store, missing))
        with closing(run_shards(shards, COLUMNS, source, config, workers, CaptionStage)) as records:
            for record in records:
                if record.fatal is not None:
                    raise known_error(record)
                if lease.lost:
                    raise OutputLocked(f"{store.url} was taken over by another run; this one stops")
                tally.add(record, pictures.rows[record.shard])
                follow(tally.progress())
    return workers.count


def plan_bytes(job: CaptionJob, source: CaptionerSource, pictures: Pictures) -> bytes:
    plan = {
        "images": job.images,
        "pictures": pictures.fingerprint,
        "count": sum(pictures.rows.values()),
        "model": source.name,
        "model_revision": source.revision,
    }
    return json.dumps(plan, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def agree(store: Store, job: CaptionJob, source: CaptionerSource, pictures: Pictures) -> None:
    """Raises:
    ForeignOutput: the output holds other files.
    PlanMismatch: it holds captions of other pictures, or by another captioner.
    """
    if not store.exists(PLAN):
        foreign = list(islice((found.key for found in store.list("") if not found.key.startswith(".run/")), 3))
        if foreign or store.exists(".run/plan.json"):
            shown = ", ".join(foreign) or ".run/plan.json"
            raise ForeignOutput(f"{store.url} is not empty and holds no captions ({shown}); give a new folder")
        return
    try:
        stored = json.loads(store.read(PLAN))
        wanted = json.loads(plan_bytes(job, source, pictures))
        names = [name for name in wanted if name != "images" and stored[name] != wanted[name]]
    except (ValueError, KeyError, TypeError) as error:
        raise ForeignOutput(f"{store.url}/{PLAN} is no plan of this program ({error}); give another output") from error
    if names:
        remedy = "restore it, or give another output folder"
        raise PlanMismatch(
            store.url, [Difference(name, repr(stored[name]), repr(wanted[name]), remedy) for name in names]
        )


def finished(store: Store) -> set[int]:
    """Numbers of the shards that have captions, by one listing."""
    names = [found.key.removeprefix(f"{CAPTIONS}/").removesuffix(".parquet") for found in store.list(CAPTIONS)]
    return {int(name) for name in names if name.isdecimal()}


def count(store: Store, shard: int) -> Census:
    """From the footer of a shard's captions."""
    footer = pq.read_metadata(pa.BufferReader(store.read(captions_key(shard))))
    return census_of(footer.num_rows, json.loads(footer.metadata[COUNTS]), shard)


def failure_examples(store: Store, census: Census) -> dict[str, str]:
    """What one picture of each code failed with, the commonest code first."""
    columns = ["file_name", "error_code", "error_message"]
    return examples(
        census, lambda shard: pq.read_table(pa.BufferReader(store.read(captions_key(shard))), columns=columns)
    )
