"""The Ray Data part: shards in, records out. Beside the online server's, the only module that imports Ray.

What is unusual: for Ray a shard is one row, which only says where the shard's rows lie; each worker reads its own.
Rows then never travel through the object store, nothing is read ahead of its turn, and no block can be cut or merged
on the way. (`map_batches` would be the other way to hand over a whole block, but not to a worker with a GPU.) The
datasource and the stage are given the same resources, so that Ray Data fuses them into one operator: tasks of their
own could starve beside workers that hold every CPU (ray#44687).
"""

from __future__ import annotations

import gc
import json
import logging
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

# Read by Ray at import.
for name, value in {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}.items():
    os.environ.setdefault(name, value)

import pyarrow as pa  # noqa: E402
import ray  # noqa: E402
import ray.data  # noqa: E402
from ray.data import ActorPoolStrategy, DataContext, Datasource, ReadTask  # noqa: E402
from ray.data.block import BlockMetadata  # noqa: E402

from .at_work import at_work  # noqa: E402
from .errors import InvalidJob, NoCluster, WorkersFailed  # noqa: E402
from .heap import keep_heap  # noqa: E402
from .job import Pool  # noqa: E402
from .lean import lean  # noqa: E402
from .quiet import ray_quiet  # noqa: E402
from .shard_reader import Shard, read_shard  # noqa: E402
from .stage import Record, Stage, describe  # noqa: E402
from .worker_imports import import_path, own_code  # noqa: E402

SHARDS_AT_A_WORKER = 2  # one whose images are made, one that is read or committed meanwhile
SPARE_CPUS = 2  # logical, for what Ray runs beside the workers on this machine
JOIN_SECONDS = 10.0  # for a cluster's head to answer
OBJECT_STORE = 200 * 2**20  # bytes; records and shard descriptions are all that it holds


class Shards(Datasource):
    """A datasource whose every read task yields one block of one row: a shard's description."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tasks = [
            ReadTask(partial(description, pickle.dumps(shard)), BlockMetadata(1, None, None, None)) for shard in shards
        ]

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: DataContext | None = None
    ) -> list[ReadTask]:
        return self.tasks


def description(shard: bytes) -> Iterator[pa.Table]:
    yield pa.table({"shard": [shard]})


class Worker:
    """What Ray keeps in a worker's process: it reads a shard's rows and gives them to the stage. It never raises."""

    def __init__(self, stage: Callable[..., Any], schema: pa.Schema, source: Any, config: Any) -> None:
        self.schema = schema
        keep_heap()
        self.stage = stage(source, config)
        self.gpus = ",".join(ray.get_runtime_context().get_accelerator_ids().get("GPU", ()))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        shard: Shard = pickle.loads(row["shard"])
        try:
            rows = read_shard(shard, self.schema)
        except Exception as error:
            kind, text = describe(error, f"the rows of shard {shard.number} could not be read")
            done = Record(shard.number, fatal=text, fatal_kind=kind).to_table()
        else:
            with at_work():
                done = self.stage(rows)
        (found,) = done.to_pylist()
        return {**found, "gpus": self.gpus}


@dataclass(frozen=True, slots=True)
class Workers:
    """How many workers, and what Ray reserves for each.

    Args:
        grows: nodes that join the cluster while the run goes on get workers too.
    """

    count: int
    cpus: float
    gpus: float
    grows: bool = False

    def strategy(self, shards: int) -> ActorPoolStrategy:
        """Where a node leaves for good, Ray starts its workers again as soon as there is room: on a node that joins,
        or where another worker has run out of shards."""
        sizes = {"size": self.count}
        if self.grows:
            sizes = {"min_size": 1, "initial_size": self.count, "max_size": max(self.count, shards)}
        return ActorPoolStrategy(
            **sizes,
            max_concurrent_calls_per_actor=SHARDS_AT_A_WORKER,
            max_tasks_in_flight_per_actor=SHARDS_AT_A_WORKER,
            enable_true_multi_threading=True,
        )


@contextmanager
def ray_running(pool: Pool, log_file: str | None) -> Iterator[None]:
    """Ray, started here or joined; stopped at the end if it was started here."""
    if ray.is_initialized():
        with ray_quiet(log_file):
            yield
        return
    address = pool.cluster
    local = address is None
    workers = pool.workers or os.cpu_count() or 1
    if address is not None:
        check_answers(address)
    with ray_quiet(log_file), import_path():
        try:
            with keeping_sigterm(), lean() if local else nullcontext():
                ray.init(
                    address=address or "local",  # never a cluster that happens to run here
                    job_config=own_code(address),
                    num_cpus=int(workers * pool.cpus_per_worker + SPARE_CPUS + 0.999) if local else None,
                    object_store_memory=OBJECT_STORE if local else None,
                    include_dashboard=False if local else None,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except Exception as error:  # Ray raises many kinds, a bare Exception among them
            ray.shutdown()
            raise WorkersFailed(
                f"Ray did not start on this machine ({error}); is it overloaded? run the same command again"
                if local
                else f"no Ray cluster can be joined at {address} ({error}); check the address and Ray's version there"
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def calling_workers(pool: Pool) -> Iterator[Callable[..., Any]]:
    """Calls a function with its arguments in a process that has what a worker of the pool has, and ends after it."""
    with ray_running(pool, None):
        workers = choose_workers(pool, 1)

        def call(function: Callable[..., Any], *arguments: Any) -> Any:
            task = ray.remote(num_cpus=workers.cpus, num_gpus=workers.gpus, max_calls=1, max_retries=0)(function)
            try:
                return ray.get(task.remote(*arguments))
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except ray.exceptions.RayError as error:
                raise WorkersFailed(f"a worker ended while it was measured on ({error}); look at Ray's logs") from error

        yield call


@contextmanager
def keeping_sigterm() -> Iterator[None]:
    """`ray.init` puts a handler of its own, which ends the process, in the place of whatever was there."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if before is not signal.SIG_DFL and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def check_answers(address: str) -> None:
    """Ray itself waits for minutes, without a word, for a cluster that is not there.

    Raises:
        NoCluster: nothing listens at the address.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdecimal()):
        return  # "auto" and the like are for Ray to find
    try:
        socket.create_connection((host, int(port)), JOIN_SECONDS).close()
    except OSError as error:
        raise NoCluster(
            f"no Ray cluster answers at {address} ({error}); give its head as host:port, or none to use this machine"
        ) from None


def choose_workers(pool: Pool, shards: int) -> Workers:
    """What the pool leaves open, by what Ray finds.

    Raises:
        InvalidJob: more is asked for than this machine has; on a cluster, which may grow, Ray waits for it.
    """
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus = found.get("GPU", 0.0)
    each = pool.gpus_per_worker
    if each is None:
        each = 1.0 if gpus >= 1 and pool.device != "cpu" else 0.0
    local = pool.cluster is None
    if local and pool.device.startswith("cuda") and not gpus:
        raise InvalidJob(f"device {pool.device}: Ray finds no GPU on this machine; give --device cpu, or leave it out")
    limit = gpus / each if each else found.get("CPU", 1.0) / pool.cpus_per_worker
    if pool.workers is not None:
        count = pool.workers
    elif each:
        count = max(1, int(limit))
    else:
        count = max(1, int(min(limit, os.cpu_count() or 1) if local else limit))
    if local and (count * each > gpus or count * pool.cpus_per_worker > found.get("CPU", 0.0)):
        raise InvalidJob(
            f"{count} workers with {each:g} GPUs and {pool.cpus_per_worker:g} CPUs each are more than this machine's "
            f"{gpus:g} GPUs and {found.get('CPU', 0.0):g} CPUs (as Ray counts them); ask for fewer"
        )
    grows = not local and pool.workers is None
    return Workers(max(1, min(count, shards)), pool.cpus_per_worker, each, grows)


def run_shards(
    shards: Sequence[Shard],
    schema: pa.Schema,
    source: Any,
    config: Any,
    workers: Workers,
    stage: Callable[..., Any] = Stage,
) -> Generator[Record]:
    """A record for each shard, in the order in which they are done. Closing the iterator stops the workers.

    Args:
        source, config: of `stage`, which is made of them in every worker: `Stage`, or `CaptionStage`.

    Raises:
        WorkersFailed: Ray could not run them; the shards that gave a record stay done.
    """
    context = DataContext.get_current()
    context.print_on_execution_start = False
    context.enable_progress_bars = False
    context.max_consecutive_actor_init_deaths = 3
    context.execution_options.preserve_order = False
    # Wherever there is room, a pool that may grow does; a worker with a single shard left is not given up.
    context.autoscaling_config.actor_pool_util_upscaling_threshold = 0.5
    context.autoscaling_config.actor_pool_util_downscaling_threshold = 0.0
    resources = {"num_cpus": workers.cpus, "num_gpus": workers.gpus}
    dataset = ray.data.read_datasource(Shards(shards), override_num_blocks=len(shards), **resources)
    dataset = dataset.map(
        Worker,
        fn_constructor_args=(stage, schema, source, config),
        compute=workers.strategy(len(shards)),
        **resources,
    )
    blocks = dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    iterator = iter(blocks)
    try:
        while True:
            try:
                block = next(iterator)
            except StopIteration:
                return
            except Exception as error:
                raise WorkersFailed(f"Ray could not run the workers: {root_cause(error)}") from error
            for row in block.to_pylist():
                yield Record(**{**json.loads(row["record"]), "gpus": row["gpus"]})
    finally:
        # A stopped execution keeps its actors until it is collected; the next one would wait for their CPUs.
        del iterator, blocks, dataset
        gc.collect()


def root_cause(error: BaseException) -> str:
    """The innermost error that says something; Ray wraps what a worker raised several times."""
    said = error
    while (inner := getattr(error, "cause", None) or error.__cause__) is not None:
        error = inner
        said = error if str(error) else said
    return f"{type(said).__name__}: {said}"
