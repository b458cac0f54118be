"""The command line as a person meets it: help, refusals, exit codes, JSON, a job file, an interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.settings import read_settings
from pipelines.errors import InvalidJob

COMMAND = [sys.executable, "-c", "from jobs.cli import main; main()"]
FAST = ["--model", "flat-colour", "--workers", "1"]


def imagegen(*arguments: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=timeout)


@pytest.fixture
def another_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where Ray looks for a cluster of this machine it finds one, which `ray start` left there and nobody meant."""
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder:  # short: Ray's sockets lie below it
        Path(folder, "ray").mkdir()
        Path(folder, "ray", "ray_current_cluster").write_text("127.0.0.1:1")
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield


def write_table(path: Path, prompts: list[str | None]) -> Path:
    pq.write_table(pa.table({"prompt": pa.array(prompts, pa.string())}), path)
    return path


@pytest.mark.parametrize("command", ["generate", "expand", "status", "verify", "retry", "train", "evaluate", "bench"])
def test_every_command_is_in_help_and_in_the_readme(command: str) -> None:
    assert imagegen(command, "--help").returncode == 0
    assert command in imagegen("--help").stdout
    assert f"imagegen {command}" in Path("README.md").read_text()


def test_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "ray", "transformers", "pyarrow")
    code = f"import sys; import jobs.cli; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--no-such-flag"], "No such option"),
        (["absent.parquet", "out"], "absent.parquet"),
        (["{table}"], "output is missing"),
        (["{table}", "{out}", "--model", "nope"], "imagen-small"),
        (["{table}", "{out}", "--size", "100x100"], "100x100"),
        (["{table}", "{out}", "--top-k", "5", "--model", "flat-colour"], "top_k"),
        (["{table}", "{out}", "--post-processing", "blur"], "there is no step 'blur'"),
        (["{table}", "{out}", "--seed", "-1"], "seed"),
        (["{table}", "{out}", "--image-format", "gif"], "gif"),
        (["{table}", "{out}", "--max-failures", "many"], "many"),
        (["{table}", "{out}", "--prompt-column", "missing"], "missing"),
    ],
)
def test_a_wrong_call_is_refused_and_touches_nothing(tmp_path: Path, arguments: list[str], words: str) -> None:
    table = write_table(tmp_path / "prompts.parquet", ["a red circle"])
    out = tmp_path / "out"
    run = imagegen("generate", *(text.format(table=table, out=out) for text in arguments))
    assert run.returncode == 2, run.stderr
    assert words in run.stderr and "Traceback" not in run.stderr
    assert not [path for path in out.rglob("*") if path.is_file()]


def test_a_run_with_a_bad_row_ends_with_3_and_can_be_looked_at(tmp_path: Path) -> None:
    table = write_table(tmp_path / "prompts.parquet", ["a red circle", "", "a blue square", None])
    out = str(tmp_path / "out")
    run = imagegen("generate", str(table), out, *FAST, "--no-report", "--json")
    assert run.returncode == 3, run.stderr
    summary = json.loads(run.stdout)
    assert (summary["rows"], summary["succeeded"], summary["failed"]) == (4, 2, 2)
    assert "4/4 images" in run.stderr and "starting Ray on this machine" in run.stderr
    assert "ray" not in run.stderr.replace("starting Ray", "").lower()
    status = imagegen("status", out)
    assert status.returncode == 3 and "empty_prompt" in status.stdout and "complete" in status.stdout
    verify = imagegen("verify", out, "--json")
    assert verify.returncode == 0 and json.loads(verify.stdout)["rows"] == 4
    Path(out, "images", "stray.png").write_bytes(b"x")
    assert imagegen("verify", out).returncode == 1
    assert "removed" in imagegen("verify", out, "--clean").stdout
    assert imagegen("verify", out).returncode == 0
    assert imagegen("retry", out, "--code", "nonsense").returncode == 2
    idle = imagegen("retry", out, "--code", "out_of_memory")
    assert idle.returncode == 3 and "nothing was left to do" in idle.stdout and "report:" not in idle.stdout
    other = imagegen("generate", str(table), out, *FAST, "--seed", "9")
    assert other.returncode == 2 and "seed: planned 0, now 9" in other.stderr


@pytest.mark.usefixtures("another_ray")
def test_a_failure_budget_ends_with_4(tmp_path: Path) -> None:
    table = write_table(tmp_path / "prompts.parquet", [""] * 200)
    run = imagegen("generate", str(table), str(tmp_path / "out"), *FAST, "--shard-rows", "16", "--max-failures", "10%")
    assert run.returncode == 4 and "empty_prompt" in run.stderr


def test_a_dry_run_says_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    table = write_table(tmp_path / "prompts.parquet", ["a red circle"] * 100)
    run = imagegen("generate", str(table), str(tmp_path / "out"), "--dry-run", *FAST)
    assert run.returncode == 0 and "100 in 1 file" in run.stdout and "bytes" in run.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["prompts.parquet"]


def test_flags_win_over_the_job_file_and_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("prompts: a.parquet\noutput: out\nseed: 3\nworkers: 4\n")
    job = read_settings(file, {"seed": 5, "workers": None})
    assert (job.seed, job.pool.workers, job.prompts) == (5, 4, "a.parquet")
    file.write_text("prompts: a.parquet\nseeed: 3\nworkers: many\n")
    with pytest.raises(InvalidJob) as caught:
        read_settings(file, {})
    assert all(words in str(caught.value) for words in ("output is missing", "seeed is no setting", "workers: "))


def test_control_c_stops_cleanly_and_the_same_command_goes_on(tmp_path: Path) -> None:
    table = write_table(tmp_path / "prompts.parquet", [f"a picture of {n}" for n in range(24)])
    out = tmp_path / "out"
    arguments = ["generate", str(table), str(out), "--workers", "1", "--shard-rows", "8"]
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A suite started in the background by a shell inherits an ignored SIGINT; a job at a terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as run:
        deadline = time.monotonic() + 120
        while not list(out.glob("manifest/*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does it: to every process of the job
        _, errors = run.communicate(timeout=120)
    assert run.returncode == 130, errors
    assert "run the same command again" in errors and "Traceback" not in errors
    again = imagegen(*arguments)
    assert again.returncode == 0, again.stderr
    assert imagegen("verify", str(out)).returncode == 0


def test_the_version_is_told() -> None:
    assert imagegen("--version").stdout.strip() == f"imagegen {version('imagegen')}"
