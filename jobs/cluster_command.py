"""`imagegen job submit`, `list`, `logs` and `stop`: job files on a Ray cluster."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pipelines.errors import InvalidJob

from .cluster.submission import Cluster
from .console import print_json, say
from .display import duration, table
from .exit_codes import ExitCode
from .job_files.reading import InvalidJobFile, load_job
from .job_files.references import RunContext
from .job_files.runs import new_context, unreachable

DEFAULT_ADDRESS = "http://127.0.0.1:8265"


def submit_file(
    file: Path,
    address: str | None,
    run_id: str | None,
    date: str | None,
    variables: Sequence[str],
    install: bool,
    any_versions: bool,
) -> int:
    """Raises:
    InvalidJob: the file is wrong, or it names what only this machine has.
    """
    job = load_job(file)
    wrong = [job.mistake((name,), message) for name, message in unreachable(job.settings)]
    if wrong:
        raise InvalidJobFile(job.source, wrong)
    missing = [name for name in variables if name not in os.environ]
    if missing:
        raise InvalidJob(f"--env {missing[0]}: it is not set here; set it, or leave it to the cluster's environment")
    values = {name: os.environ[name] for name in variables}
    # Which variables are set is the cluster's to say, for the job is resolved there.
    context = new_context(job, {}, date, run_id)
    where = address_of(address)
    submitted = Cluster(where).submit(
        job, RunContext(context.date, context.run_id, None), values, install, any_versions
    )
    print(submitted)
    say(f"imagegen: submitted to {where}; follow it with: imagegen job logs --follow {submitted} --address {where}")
    return ExitCode.SUCCESS


def list_jobs(address: str | None, as_json: bool) -> int:
    found = Cluster(address_of(address)).jobs()
    if as_json:
        print_json([dataclasses.asdict(one) for one in found])
        return ExitCode.SUCCESS
    rows = [("ID", "STATE", "STARTED (UTC)", "TOOK", "OUTPUT")]
    for one in found:
        started = f"{datetime.fromtimestamp(one.started, UTC):%Y-%m-%d %H:%M:%S}" if one.started else ""
        took = duration(one.ended - one.started) if one.started and one.ended else ""
        rows.append((one.submission_id, one.state, started, took, one.output))
    for line in table(rows):
        print(line)
    return ExitCode.SUCCESS


def print_logs(submission_id: str, address: str | None, follow: bool) -> int:
    for text in Cluster(address_of(address)).logs(submission_id, follow):
        sys.stdout.write(text)
        sys.stdout.flush()
    return ExitCode.SUCCESS


def stop_job(submission_id: str, address: str | None, now: bool) -> int:
    cluster = Cluster(address_of(address))
    cluster.job(submission_id)
    if not now:
        say("imagegen: waiting for the shards in flight (--now ends them)")
    one = cluster.kill(submission_id) if now else cluster.stop(submission_id)
    print(f"{one.submission_id}: {one.state}")
    return ExitCode.SUCCESS if one.over else ExitCode.ERROR


def address_of(given: str | None) -> str:
    """Of the job server: as given, by Ray's own variable, or that of a Ray on this machine."""
    return given or os.environ.get("RAY_API_SERVER_ADDRESS") or DEFAULT_ADDRESS
