"""`imagegen job run --fail-only-to-retry`: another status than 0 only where another try may help."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from jobs.job_command import run_for_retries, wait_for_the_dead
from jobs.job_files.reading import load_job
from jobs.job_files.runs import new_context
from jobs.kubernetes.exporting import manifests_of
from jobs.kubernetes.ray_job import CREATED
from jobs.kubernetes.resources import MOUNT, Target
from pipelines import lease
from pipelines.errors import InvalidJob
from pipelines.lease import LEASE, STALE, Lease
from pipelines.storage import open_store


def write_job(folder: Path, **settings: object) -> Path:
    (folder / "prompts.txt").write_text("a red circle\n")
    values = {"prompts": str(folder / "prompts.txt"), "output": str(folder / "out"), "model": "flat-colour"}
    path = folder / "night.yaml"
    path.write_text(yaml.safe_dump({**values, **settings}))
    return path


def status(file: Path) -> int:
    return run_for_retries(file, None, None, False, False)


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"sise": "64x64"}, 0, "sise is no setting"),
        ({"notification": {"url": "https://x", "secret_env": "IMAGEGEN_NOT_SET"}}, 0, "IMAGEGEN_NOT_SET is not set"),
        ({"prompts": "/nowhere/prompts.txt"}, 0, "/nowhere/prompts.txt"),
        ({"model": "nobody/has-this"}, 2, "no model called"),  # or a hub that does not answer
    ],
)
def test_an_error_that_would_come_again_is_no_failure(
    tmp_path: Path, settings: dict[str, object], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(write_job(tmp_path, **settings)) == code
    said = capsys.readouterr().err
    assert words in said and ("it would end like this again" in said) is (code == 0)


def test_an_output_that_is_being_written_is_left_to_its_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT", 0.2)
    with Lease(open_store(str(tmp_path / "out"))):
        assert status(write_job(tmp_path)) == 0
    assert "is being written by process" in capsys.readouterr().err


def test_a_run_of_a_cluster_that_was_lost_is_not_taken_for_one_that_lives(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "out"))
    last_sign = time.time() - STALE + 2  # the next cluster was there within a minute
    store.put(LEASE, json.dumps({"token": "t", "host": "gone", "pid": 1, "boot": "b", "heartbeat": last_sign}).encode())
    wait_for_the_dead(store)
    with Lease(store) as taken:  # raises OutputLocked where it is too early
        assert taken.is_mine()


def test_what_kubernetes_starts_ends_with_0_for_a_wrong_file(tmp_path: Path) -> None:
    file = write_job(tmp_path, prompts="/nowhere/{date}/prompts.txt", schedule={"cron": "0 6 * * *"})
    job = manifests_of(load_job(file), Target("imagegen", cron_job=True))[1]["data"]["rayjob.yaml"]
    entry = yaml.safe_load(job)["spec"]["entrypoint"].replace(MOUNT, str(tmp_path))
    _, *arguments = shlex.split(entry.replace(CREATED, "2026-11-25T23:30:00Z"))
    command = [sys.executable, "-c", "from jobs.cli import main; main()", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "/nowhere/2026-11-25/prompts.txt" in run.stderr
    with pytest.raises(InvalidJob, match="a run's moment is like 2026-11-25T01:30:00Z, got 'T'"):
        new_context(load_job(file), {}, "T")
