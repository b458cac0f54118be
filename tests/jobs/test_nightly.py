"""Two nights, seconds apart, of a growing prompt folder under the real scheduler; the second is killed half-way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from jobs.scheduling.history import History, Run, State

COMMAND = [sys.executable, "-c", "from jobs.cli import main; main()"]


def prompts(folder: Path, name: str, count: int) -> None:
    part = folder / f".{name}.part"  # a file appears whole, as a publisher's should
    part.write_text("".join(f"{name} {number}\n" for number in range(count)))
    part.replace(folder / f"{name}.txt")


def scheduler(folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "scheduler.log").open("ab") as log:
        arguments = ["schedule", str(folder / "nightly.yaml"), "--state", str(folder / "state")]
        return subprocess.Popen([*COMMAND, *arguments], stderr=log)


def history(folder: Path) -> list[Run]:
    found = History(folder / "state")
    try:
        return found.all_runs()
    finally:
        found.close()


def night(folder: Path, run_id: str) -> Run:
    (found,) = [run for run in history(folder) if run.run_id == run_id]
    return found


def wait_for(condition: Callable[[], object], folder: Path) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline, (folder / "scheduler.log").read_text()
        time.sleep(0.02)


def finished(folder: Path, shards: int) -> bool:
    return len(list(folder.glob("out/manifest/*.parquet"))) >= shards


def test_two_nights_of_which_one_is_killed(tmp_path: Path) -> None:
    inbox = tmp_path / "prompts"
    inbox.mkdir()
    (tmp_path / "nightly.yaml").write_text(
        f"prompts: {inbox}\noutput: {tmp_path / 'out'}\nextend: true\nmodel: flat-colour\nworkers: 1\nshard_rows: 4\n"
        "report: false\nschedule: {every: 5 s, retry_seconds: 1}\n"
    )
    prompts(inbox, "first", 8)
    started = datetime.now(UTC)
    watch = scheduler(tmp_path)
    try:
        wait_for(lambda: finished(tmp_path, 2), tmp_path)
        before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/images/*/*.png")}
        assert len(before) == 8
        prompts(inbox, "second", 240)
        wait_for(lambda: finished(tmp_path, 5), tmp_path)
        at_work = max(tmp_path.glob("state/runs/*.pid"), key=lambda path: path.stat().st_mtime_ns)
        watch.kill()  # the night dies half-way: first the scheduler, so that it cannot take notice, then the run
        os.killpg(int(at_work.read_text()), signal.SIGKILL)
        watch.wait()
        assert not finished(tmp_path, 62), "it was over before it could be killed"
        assert night(tmp_path, at_work.stem).state is State.RUNNING
        watch = scheduler(tmp_path)
        wait_for(lambda: night(tmp_path, at_work.stem).state in {State.SUCCEEDED, State.FAILED}, tmp_path)
        watch.terminate()
        assert watch.wait(timeout=120) == 0
    finally:
        watch.kill()
        watch.wait()
    runs = history(tmp_path)
    assert started < runs[0].planned <= (runs[0].started or started) and runs[0].state is State.SUCCEEDED
    resumed = night(tmp_path, at_work.stem)
    assert (resumed.state, resumed.starts, resumed.failures) == (State.SUCCEEDED, 2, 0)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "the second night touched the first"
    log = (tmp_path / "scheduler.log").read_text()
    assert f"{at_work.stem} waiting: died with the scheduler or the machine; goes on" in log
    said = (tmp_path / "state" / "logs" / f"{at_work.stem}.log").read_text()
    assert said.count(f"starting {at_work.stem}") == 2 and "248 rows, 248 images, 0 failed" in said
    shown = subprocess.run([*COMMAND, "schedule", "history", "--state", str(tmp_path / "state")], capture_output=True)
    assert at_work.stem in shown.stdout.decode() and shown.returncode == 0
    verify = subprocess.run([*COMMAND, "verify", str(tmp_path / "out")], capture_output=True, text=True)
    assert verify.returncode == 0 and "248 rows" in verify.stdout, verify.stdout
