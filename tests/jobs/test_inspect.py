"""What `generate`, `status` and `verify` say at the end, and with which status: finished, failed, not there yet."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from jobs.exit_codes import ExitCode
from jobs.inspect import status_command, verify_command
from jobs.run import finish
from pipelines.batch import run_batch
from pipelines.errors import TooManyFailures
from pipelines.job import BatchJob
from pipelines.lease import LEASE, Holder, boot_id
from pipelines.storage import LocalStore
from tests.inline import without_ray

PROMPTS = ["a", "", "c", "d", "", "f", "g", "h"]  # in shards of two: the first and the third have a failure


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BatchJob:
    without_ray(monkeypatch)
    (tmp_path / "prompts.csv").write_text("prompt,seed\n" + "".join(f'"{prompt}",1\n' for prompt in PROMPTS))
    out = str(tmp_path / "out")
    return BatchJob(str(tmp_path / "prompts.csv"), out, model="flat-colour", shard_rows=2, report=False)


def unfinished(job: BatchJob) -> None:
    """As a kill after three of four shards leaves it."""
    run_batch(job)
    Path(job.output, "manifest/00003.parquet").unlink()


def test_failures_are_shown_with_a_message_and_the_next_command(
    job: BatchJob, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finish(run_batch(job), report=False, as_json=False) == ExitCode.FAILED_ROWS
    said = capsys.readouterr().out
    assert "failures: empty_prompt 2, such as row 1: prompt is missing" in said
    assert f"error_message in {job.output}/manifest" in said
    assert status_command(job.output, as_json=False) == ExitCode.FAILED_ROWS
    said = capsys.readouterr().out
    assert "such as row 1: prompt is missing" in said and ": complete" in said
    assert verify_command(job.output, clean=False, as_json=False) == ExitCode.SUCCESS


def test_a_budget_that_is_exceeded_says_what_failed(job: BatchJob) -> None:
    with pytest.raises(TooManyFailures, match="such as row 1: prompt is missing"):
        run_batch(replace(job, max_failures=0))


def test_an_unfinished_output_has_a_status_of_its_own(job: BatchJob, capsys: pytest.CaptureFixture[str]) -> None:
    unfinished(job)
    assert status_command(job.output, as_json=False) == ExitCode.UNFINISHED
    assert "next: run the job's own command again" in capsys.readouterr().out
    for left in Path(job.output, "images/00003").iterdir():
        left.unlink()
    assert verify_command(job.output, clean=False, as_json=False) == ExitCode.UNFINISHED
    said = capsys.readouterr().out
    assert "not finished; 3 of 4 shards done, 8 rows planned; what is done is all right" in said
    Path(job.output, "images/00002/000000005-0.png").write_bytes(b"damaged")
    assert verify_command(job.output, clean=False, as_json=False) == ExitCode.ERROR


def test_verify_beside_a_run_says_who_writes(job: BatchJob, capsys: pytest.CaptureFixture[str]) -> None:
    unfinished(job)  # the pictures of its last shard are there, as those of a shard in the making are
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        holder = Holder("token", socket.gethostname(), other.pid, boot_id(), time.time())
        LocalStore(job.output).put(LEASE, str(asdict(holder)).replace("'", '"').encode())
        assert verify_command(job.output, clean=False, as_json=False) == ExitCode.UNFINISHED
        said = capsys.readouterr().out
        assert f"being written by process {other.pid} on {socket.gethostname()}" in said and "orphan" not in said
        assert other.stdin is not None
        other.stdin.close()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert verify_command(job.output, clean=False, as_json=False) == ExitCode.ERROR
    assert "orphan: images/00003" in capsys.readouterr().out


def test_a_lower_limit_than_the_plan_says_what_it_leaves(job: BatchJob, capsys: pytest.CaptureFixture[str]) -> None:
    unfinished(job)
    limited = run_batch(replace(job, limit=5))
    assert finish(limited, report=False, as_json=False) == ExitCode.FAILED_ROWS
    assert "planned for 8 rows: 2 were not asked for (--limit)" in capsys.readouterr().out
    assert status_command(job.output, as_json=False) == ExitCode.UNFINISHED
    whole = run_batch(job)
    assert (whole.planned_rows, whole.rows, whole.shards_made) == (8, 8, 1)
    assert verify_command(job.output, clean=False, as_json=False) == ExitCode.SUCCESS
