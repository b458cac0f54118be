"""Job files on a cluster, through Ray's job server."""

from __future__ import annotations

import logging
import shlex
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipelines.errors import EndpointUnavailable, InvalidJob, WorkersFailed

from ..exit_codes import ExitCode
from ..job_files.reading import LoadedJob
from ..job_files.references import RunContext
from .driver import ANY_VERSIONS
from .packing import installed, lock_lines, package_folders, to_install, write_folder

OURS = "imagegen"  # key of the metadata that marks jobs as ours
LOOK = 1.0  # seconds between two looks at a job's state
FAREWELL = 30.0  # seconds that a driver takes to end once its output is let go
# The interpreter that the cluster's own processes run on, by where they have Ray from: a cluster that was started from
# an environment need not have that environment's `python` on its path. The shell's parent is one of them.
PYTHON = (
    r"python=$(sed -n 's,.* \(/.*\)/lib\(64\)\?/python[^/]*/site-packages/ray/_raylet\.so$,\1/bin/python,p' "
    "/proc/$PPID/maps 2>/dev/null | head -n 1); "
)
# They tell of each package that is sent, and have levels of their own.
TALKATIVE = ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")
STATES = {
    ExitCode.FAILED_ROWS: "failed_rows",
    ExitCode.FAILURE_BUDGET_EXCEEDED: "failure_budget_exceeded",
    ExitCode.INTERRUPTED: "stopped",
}


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job on the cluster.

    Args:
        state: pending, running, succeeded, failed_rows, failure_budget_exceeded, stopped or failed.
        started, ended: Unix time; None for not yet.
    """

    submission_id: str
    job: str
    run_id: str
    date: str
    output: str
    state: str
    started: float | None
    ended: float | None
    message: str

    @property
    def over(self) -> bool:
        return self.state not in {"pending", "running"}


class Cluster:
    """The job server of a cluster.

    Raises:
        InvalidJob: what Ray needs for it is not installed.
        EndpointUnavailable: it does not answer.
    """

    def __init__(self, address: str) -> None:
        from ray.job_submission import JobSubmissionClient

        self.address = address
        if find_spec("aiohttp_cors") is None:  # of `ray[default]`; without it Ray says something else
            raise InvalidJob("Ray's job client is not installed; run pip install '.[cluster]' in imagegen's folder")
        with answering(address):
            self.client = JobSubmissionClient(address)
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)

    def submit(
        self, job: LoadedJob, context: RunContext, variables: dict[str, str], install: bool, any_versions: bool
    ) -> str:
        """Args:
            context: without an environment, which is the cluster's to know.
            variables: environment of the run on the cluster, where everybody who may look at it sees them.
            install: bring the packages' versions of here to the cluster.
            any_versions: take the cluster's, whatever they are.

        Returns:
            The submission's id.
        """
        versions = to_install() if install else installed()
        with tempfile.TemporaryDirectory(prefix="imagegen-") as folder, answering(self.address):
            write_folder(Path(folder), job.text, versions)
            environment: dict[str, Any] = {
                "working_dir": folder,
                "py_modules": [str(path) for path in package_folders()],
                "env_vars": {**variables, **({ANY_VERSIONS: "1"} if any_versions else {})},
            }
            if install:
                environment["pip"] = {"packages": lock_lines(versions), "pip_check": False}
            metadata = {OURS: "run", "job": job.name, "run_id": context.run_id, "date": context.date}
            return self.client.submit_job(
                entrypoint=entrypoint("run", job.name, context.run_id, context.date),
                submission_id=self.free_id(context.run_id),
                runtime_env=environment,
                metadata={**metadata, "output": context.resolve(job.settings.output)},
            )

    def free_id(self, run_id: str) -> str:
        """The run's id, or that with a number: a run that goes on is another job for the cluster."""
        taken = {details.submission_id for details in self.client.list_jobs()}
        return next(name for count in range(1, 10_000) if (name := f"{run_id}{f'-{count}' * (count > 1)}") not in taken)

    def jobs(self) -> list[Submitted]:
        """Those of imagegen, the oldest first."""
        with answering(self.address):
            found = [details for details in self.client.list_jobs() if (details.metadata or {}).get(OURS) == "run"]
        return sorted(map(described, found), key=lambda one: one.started or 0.0)

    def job(self, submission_id: str) -> Submitted:
        """Raises:
        InvalidJob: there is none of that id.
        """
        for one in self.jobs():
            if one.submission_id == submission_id:
                return one
        known = ", ".join(one.submission_id for one in self.jobs()[-5:]) or "none"
        raise InvalidJob(f"no job at {self.address} is called {submission_id!r}; the latest are: {known}")

    def logs(self, submission_id: str, follow: bool) -> Iterator[str]:
        """What the job printed, piece by piece; with `follow` until it is over."""
        written = 0
        while True:
            over = self.job(submission_id).over
            with answering(self.address):
                text = self.client.get_job_logs(submission_id)
            yield text[written:]
            written = len(text)
            if over or not follow:
                return
            time.sleep(LOOK)

    def stop(self, submission_id: str) -> Submitted:
        """Ask the run to finish its shards, and wait until it is over. A job that has not begun is taken away.

        Raises:
            WorkersFailed: it could not be asked.
        """
        one = self.job(submission_id)
        if one.over:
            return one
        with answering(self.address):
            info = self.client.get_job_info(submission_id)
            helper = self.client.submit_job(
                entrypoint=entrypoint("stop", one.job, one.run_id, one.date),
                runtime_env=info.runtime_env,
                metadata={OURS: "stop", "of": submission_id},
            )
            while not (self.job(submission_id).over or self.client.get_job_status(helper).is_terminal()):
                time.sleep(LOOK)
            if not self.ended(submission_id, FAREWELL):
                if self.job(submission_id).state == "pending":
                    return self.kill(submission_id)
                said = self.client.get_job_logs(helper).strip().rpartition("\n")[2]
                raise WorkersFailed(f"{submission_id} was not stopped ({said}); --now ends it at once")
        return self.job(submission_id)

    def ended(self, submission_id: str, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while not self.job(submission_id).over:
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK)
        return True

    def kill(self, submission_id: str) -> Submitted:
        """At once; the shards in flight are made again by the next run."""
        with answering(self.address):
            self.client.stop_job(submission_id)
        self.ended(submission_id, 60.0)
        return self.job(submission_id)


def entrypoint(*arguments: str) -> str:
    return f'{PYTHON}exec "${{python:-python}}" -P -m jobs.cluster.driver {shlex.join(arguments)}'


def described(details: Any) -> Submitted:
    status = str(details.status.value).lower()
    code = getattr(details, "driver_exit_code", None)
    known = {int(key): value for key, value in STATES.items()}
    state = known.get(code, status) if status == "failed" and code is not None else status
    about = details.metadata
    times = [None if moment is None else moment / 1000 for moment in (details.start_time, details.end_time)]
    return Submitted(
        submission_id=details.submission_id,
        job=about["job"],
        run_id=about["run_id"],
        date=about["date"],
        output=about["output"],
        state=state,
        started=times[0],
        ended=times[1],
        message=details.message or "",
    )


@contextmanager
def answering(address: str) -> Iterator[None]:
    """Raises:
    EndpointUnavailable: the server does not answer.
    """
    import requests

    try:
        yield
    except (ConnectionError, requests.exceptions.RequestException) as error:
        raise EndpointUnavailable(
            f"no job server of Ray answers at {address} ({type(error).__name__}); give the dashboard's address, like "
            "http://HEAD:8265, with --address"
        ) from error
    except RuntimeError as error:  # all that the client raises for an answer that is none
        raise EndpointUnavailable(f"the job server at {address} refused: {error}") from error
