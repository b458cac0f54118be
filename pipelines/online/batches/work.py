"""The process that works one batch off: input file -> prompt table -> the batch job, asking this server -> answers.

It may be killed at any time; started again, it goes on where the job's output says. The server that starts it keeps
its standard input open, and it ends with that server.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from imagen_model.catalog import ModelNotFound

from ...batch import run_batch
from ...credential_files import credential_files
from ...endpoint import EndpointModel, find_endpoint
from ...errors import EndpointUnavailable, NoCluster, NoPlan, OutputLocked, SetupError, StoreError, WorkersFailed
from ...job import BatchJob, Pool
from ...manifest import finished_shards
from ...plan import Plan, load_plan
from ...progress import Progress
from ...storage import open_store
from .answers import write_outputs
from .lines import InvalidBatch, convert
from .schemas import Batch, BatchError, BatchErrors, FileObject, RequestCounts, StoredBatch
from .store import RUNS, BatchStore, content_key, derived_file_id

# Set-up errors that pass where a server was killed: its ingress and batch processes live a moment longer than its Ray,
# and hold the output.
PASSING = (NoCluster, OutputLocked)
TRY_AGAIN = 75  # exit status: what is missing may come back (EX_TEMPFAIL of sysexits.h)
WRITE_EVERY = 1.0  # seconds between two records of the progress
WORKERS = 2  # processes that ask the server, each with a batch of requests under way
WORKER_CPUS = 0.01  # they wait; the server's replicas may have reserved every CPU


@dataclass(frozen=True, slots=True)
class Order:
    """What the server says on standard input.

    Args:
        folder: of the `BatchStore`.
        url: of the server; names: of its model.
        ray_address: of the cluster that the server runs on.
        most: requests that a batch may have.
        metadata: in the pictures' files, as the server's own answers have it.
        c2pa_certificate, c2pa_key: files by which the answers' pictures are signed, as the server's own are.
    """

    folder: str
    batch: str
    url: str
    names: tuple[str, ...]
    ray_address: str
    most: int
    metadata: str = "none"
    c2pa_certificate: str | None = None
    c2pa_key: str | None = None

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


class Work:
    """One batch, from the state in which it is found to its end."""

    def __init__(self, order: Order, folder: Path) -> None:
        self.order, self.folder = order, folder
        self.store = BatchStore(open_store(order.folder, answered=True))
        found = self.store.stored_batch(order.batch)
        assert found is not None, order.batch
        self.stored: StoredBatch = found
        self.run = f"{RUNS}/{order.batch}"
        self.written = 0.0

    def write(self, batch: Batch) -> None:
        self.stored = self.stored.model_copy(update={"batch": batch})
        self.store.put_batch(self.stored)
        self.written = time.monotonic()

    def finish(self) -> None:
        """Raises:
        KeyboardInterrupt: the server stops; the batch goes on later.
        PipelineError: it cannot go on now.
        """
        if self.stored.batch.finished:
            return
        try:
            if self.stored.batch.status != "finalizing":
                self.prepare()
                self.make()
        except InvalidBatch as refusal:
            self.fail(refusal.mistakes)
            return
        except PASSING:
            raise
        except (SetupError, ModelNotFound) as error:
            # Such as a server that came back with other weights: what is made already is handed over.
            self.conclude(BatchError(code="cannot_go_on", message=str(error)))
            return
        except KeyboardInterrupt:
            if not self.cancelled() and not self.expired():
                raise
        self.conclude()

    def cancelled(self) -> bool:
        return self.store.cancel_asked(self.order.batch) is not None

    def expired(self) -> bool:
        return time.time() >= self.stored.batch.expires_at

    def prepare(self) -> None:
        """The table, if it is not there yet; it is written last, so that it stands for both."""
        if not self.prepared():
            model = self.model()
            table, refusals = self.folder / "prompts.parquet", self.folder / "refused.jsonl"
            names = frozenset(self.order.names)
            try:
                with self.store.store.local_copy(content_key(self.stored.batch.input_file_id)) as source:
                    made = convert(source, self.order.batch, names, model.rules, self.order.most, table, refusals)
            except FileNotFoundError:
                message = f"the input file {self.stored.batch.input_file_id} was deleted"
                raise InvalidBatch([BatchError(code="file_not_found", message=message)]) from None
            self.store.store.put_file(f"{self.run}/refused.jsonl", refusals)
            self.store.store.put(f"{self.run}/total.json", json.dumps(asdict(made)).encode())
            self.store.store.put_file(f"{self.run}/prompts.parquet", table)
        if self.stored.batch.status == "validating":
            self.write(self.stored.batch.moved("in_progress", int(time.time())))
        self.show(0, 0)

    def prepared(self) -> bool:
        return self.store.store.exists(f"{self.run}/prompts.parquet")

    def model(self) -> EndpointModel:
        return find_endpoint(self.order.url, self.stored.batch.model)

    def totals(self) -> tuple[int, int]:
        """Requests, and those refused without being tried."""
        made = json.loads(self.store.store.read(f"{self.run}/total.json"))
        return made["total"], made["refused"]

    def show(self, completed: int, failed: int) -> None:
        total, refused = self.totals()
        counts = RequestCounts(total=total, completed=completed, failed=failed + refused)
        self.write(self.stored.batch.model_copy(update={"request_counts": counts}))

    def make(self) -> None:
        """The batch job itself."""
        if self.cancelled() or self.expired():
            raise KeyboardInterrupt
        total, refused = self.totals()
        if total == refused:
            return
        signal.setitimer(signal.ITIMER_REAL, max(0.01, self.stored.batch.expires_at - time.time()))

        def follow(progress: Progress) -> None:
            if time.monotonic() - self.written >= WRITE_EVERY:
                done = (total - refused) * progress.images_done // max(progress.images_total, 1)
                failed = min(progress.failed, done)
                self.show(done - failed, failed)

        plan = self.plan()
        job = BatchJob(
            self.store.store.child_url(f"{self.run}/prompts.parquet"),
            self.dataset_url,
            model=self.stored.batch.model,
            endpoint=self.order.url,
            prompt_column="prompt",
            report=False,
            metadata=plan.settings.metadata if plan else self.order.metadata,  # the server may have changed its mind
            pool=Pool(workers=WORKERS, cpus_per_worker=WORKER_CPUS, ray_address=self.order.ray_address),
        )
        run_batch(job, follow, self.model())

    @property
    def dataset_url(self) -> str:
        return self.store.store.child_url(f"{self.run}/dataset")

    def plan(self) -> Plan | None:
        with suppress(NoPlan):
            return load_plan(open_store(self.dataset_url, answered=True))
        return None

    def conclude(self, trouble: BatchError | None = None) -> None:
        """Write the output files and the last record.

        Args:
            trouble: why the job could not be run to its end; the batch has failed.
        """
        for number in (signal.SIGINT, signal.SIGALRM):  # the rest is short, and the same for all ends
            signal.signal(number, signal.SIG_IGN)
        if trouble is not None and not self.prepared():
            self.fail([trouble])
            return
        if not self.prepared():
            self.prepare()
        if self.stored.batch.status != "finalizing":
            self.write(self.stored.batch.moved("finalizing", int(time.time())))
        output, errors = self.folder / "output.jsonl", self.folder / "errors.jsonl"
        errors.write_bytes(self.store.store.read(f"{self.run}/refused.jsonl"))
        total, refused = self.totals()
        dataset = open_store(self.dataset_url, answered=True)
        with self.store.store.local_copy(f"{self.run}/prompts.parquet") as table:
            missing = trouble or self.missing()
            signing = credential_files(self.order.c2pa_certificate, self.order.c2pa_key)
            made = write_outputs(self.order.batch, dataset, self.plan(), table, missing, output, errors, signing)
        counts = RequestCounts(total=total, completed=made.completed, failed=made.failed + refused)
        batch = self.stored.batch.model_copy(
            update={
                "request_counts": counts,
                "output_file_id": self.keep("output", output),
                "error_file_id": self.keep("error", errors),
            }
        )
        unfinished = made.failed > 0 and self.unmade()
        asked = self.store.cancel_asked(self.order.batch)
        now = int(time.time())
        if trouble is not None:
            self.write(batch.model_copy(update={"errors": BatchErrors(data=[trouble])}).moved("failed", now))
        elif unfinished and asked is not None:
            self.write(batch.model_copy(update={"cancelling_at": asked}).moved("cancelled", now))
        else:
            self.write(batch.moved("expired" if unfinished else "completed", now))

    def unmade(self) -> bool:
        """Whether the job ended before its last shard."""
        plan = self.plan()
        done = finished_shards(open_store(self.dataset_url, answered=True))
        return plan is None or len(done) < plan.shards

    def missing(self) -> BatchError:
        if self.cancelled():
            return BatchError(code="batch_cancelled", message="the batch was cancelled before this request was made")
        message = "the completion window of 24 hours ended before this request was made"
        return BatchError(code="batch_expired", message=message)

    def keep(self, role: str, path: Path) -> str | None:
        """The file's id; None for an empty one, which is not kept."""
        size = path.stat().st_size
        if not size:
            return None
        file_id, now = derived_file_id(self.order.batch, role), int(time.time())
        life = self.stored.output_life
        name = f"{self.order.batch}_{role}.jsonl"
        file = FileObject(
            id=file_id,
            bytes=size,
            created_at=now,
            expires_at=None if life is None else now + life,
            filename=name,
            purpose="batch_output",
        )
        self.store.add_file(self.stored.owner, path, file)
        return file_id

    def fail(self, mistakes: list[BatchError]) -> None:
        batch = self.stored.batch.model_copy(update={"errors": BatchErrors(data=mistakes)})
        self.write(batch.moved("failed", int(time.time())))


def end_with_server() -> None:
    """Standard input ends when the server does, however it dies; a job may be killed at any time."""
    while sys.stdin.buffer.read(1):
        pass
    os._exit(TRY_AGAIN)


def interrupt(number: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    order = Order(**json.loads(sys.stdin.buffer.readline()))
    order = Order(**{**asdict(order), "names": tuple(order.names)})
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGALRM, interrupt)
    threading.Thread(target=end_with_server, name="server", daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="imagegen-batch-") as folder:
        work = Work(order, Path(folder))
        try:
            work.finish()
        except (*PASSING, EndpointUnavailable, StoreError, WorkersFailed) as error:
            print(f"imagegen: batch {order.batch} will be tried again: {error}", file=sys.stderr)
            return TRY_AGAIN
        except KeyboardInterrupt:
            return TRY_AGAIN
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # as `jobs.exit_codes.leave`: Arrow's threads now and then abort while Python tears down
