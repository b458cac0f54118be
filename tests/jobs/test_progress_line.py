"""What is shown of a command's start and progress: on a terminal, in a log, and not at all."""

from __future__ import annotations

import io
import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.commands.options import hush
from jobs.console import say
from jobs.progress_line import Line, ProgressLine
from pipelines.batch import run_batch
from pipelines.job import BatchJob
from pipelines.progress import Progress
from pipelines.steps import logger, step
from tests.inline import without_ray

HALF = Progress(2, 4, 1, 0.5, 4.0, 1, 2, images=2)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    yield
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BatchJob:
    without_ray(monkeypatch)
    (tmp_path / "prompts.txt").write_text("a\nb\n")
    return BatchJob(str(tmp_path / "prompts.txt"), str(tmp_path / "out"), model="flat-colour", report=False)


def test_a_log_has_each_step_with_the_time_and_then_the_progress(
    job: BatchJob, capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressLine() as show:
        run_batch(job, show)
    said = capsys.readouterr()
    lines = said.err.splitlines()
    words = ("reading the model flat-colour", "reading the prompts", "2 rows in 1 shard, 0 done before", "starting Ray",
             "loading flat-colour on 1 worker", "2/2 images (100%)")  # fmt: skip
    assert len(lines) == len(words) and all(word in line for word, line in zip(words, lines, strict=True))
    assert all(line.partition(" ")[2].startswith("(") for line in lines[:-1])  # how long after the start
    assert said.out == ""


def test_a_terminal_has_one_line_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with ProgressLine() as show:
        step("starting Ray")
        say("imagegen: a warning")
        step("loading")
        show.draw_step()
        step("reading " + "x" * 500)
        show(HALF)
    written = sys.stderr.getvalue().split("\n")  # type: ignore[attr-defined]
    assert written[:2] == ["\rstarting Ray ... 0 s", "imagegen: a warning"]
    assert written[2] == "\rloading ... 0 s" * 2
    assert len(written[3]) <= shutil.get_terminal_size().columns and "x… ... 0 s" in written[3]
    assert written[4:] == ["\r2/4 images (50%), 0.5 images/s, 1 failed, 4 s left", ""]


def test_quiet_shows_neither_steps_nor_progress(job: BatchJob, capsys: pytest.CaptureFixture[str]) -> None:
    hush(True)
    with ProgressLine() as show:
        run_batch(job, show)
    say("imagegen: a warning")
    assert capsys.readouterr().err == "imagegen: a warning\n"


def test_steps_are_nobodys_when_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with Line():
        pass
    step("unheard")
    assert capsys.readouterr().err == ""
