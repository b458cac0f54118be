"""What a person sees while a command works, on standard error: on a terminal one line that is written over, elsewhere
plain log lines. First the steps of the start with the time that each takes, then the progress.
"""

from __future__ import annotations

import logging
import shutil
import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

from pipelines.progress import Progress
from pipelines.steps import logger
from pipelines.words import cut, duration

from . import console

LOG_EVERY_SECONDS = 10.0
TICK = 1.0  # seconds between two looks at the clock, on a terminal


class StepHandler(logging.Handler):
    def __init__(self, line: Line) -> None:
        super().__init__(logging.INFO)
        self.line = line

    def emit(self, record: logging.LogRecord) -> None:
        self.line.step(record.getMessage())


class Line:
    """Shows steps while the context lasts, and what subclasses show; nothing where `--quiet` was given."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.quiet = logger.getEffectiveLevel() > logging.INFO and logger.level != logging.NOTSET
        self.written_at = 0.0
        self.width = 0
        self.at: tuple[str, float] | None = None  # the step that lasts, and since when
        self.lock = threading.RLock()
        self.ended = threading.Event()
        self.handler = StepHandler(self)

    @property
    def stream(self) -> TextIO:
        # Asked for anew each time: the pipeline puts another object there while Ray's noise goes to a file.
        return sys.stderr

    def __enter__(self) -> Self:
        if not self.quiet:
            logger.addHandler(self.handler)
            logger.setLevel(logging.INFO)
            logger.propagate = False
            console.before_saying = self.end_line
        if self.terminal and not self.quiet:
            threading.Thread(target=self.tick, name="progress line", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        if not self.quiet:
            logger.removeHandler(self.handler)
            logger.setLevel(logging.NOTSET)
            logger.propagate = True
            console.before_saying = None
        self.end_line()

    def step(self, text: str) -> None:
        with self.lock:
            self.end_line()
            self.at = (text, time.monotonic())
            if self.terminal:
                self.draw_step()
            else:
                self.log(f"({duration(time.monotonic() - console.BEGUN)}) {text}")

    def tick(self) -> None:
        while not self.ended.wait(TICK):
            with self.lock:
                self.draw_step()

    def draw_step(self) -> None:
        if self.at is not None:
            text, since = self.at
            took = f" ... {duration(time.monotonic() - since)}"
            # A line that wraps could not be written over.
            self.overwrite(cut(text, max(20, shutil.get_terminal_size().columns - len(took) - 1)) + took)

    def show(self, text: str, finished: bool) -> None:
        if self.quiet:
            return
        with self.lock:
            if self.at is not None:
                self.end_line()
            if self.terminal:
                self.overwrite(text)
            elif time.monotonic() - self.written_at >= LOG_EVERY_SECONDS or not self.written_at or finished:
                self.written_at = time.monotonic()
                self.log(text)

    def overwrite(self, text: str) -> None:
        self.write("\r" + text.ljust(self.width))
        self.width = len(text)

    def end_line(self) -> None:
        with self.lock:
            self.at = None
            if self.terminal and self.width:
                self.width = 0
                self.write("\n")

    def log(self, text: str) -> None:
        self.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text}\n")

    def write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except ValueError:  # it was put away while the clock's thread wrote: the next tick finds the other
            pass


class ProgressLine(Line):
    """Shows a job's progress, once there is any; called with each `Progress`."""

    def __call__(self, progress: Progress) -> None:
        finished = progress.images_done >= progress.images_total
        if progress.images or finished:
            self.show(describe(progress), finished)


class ShardLine(Line):
    """Shows an export's progress; called with (shards done, shards)."""

    def __call__(self, done: int, total: int) -> None:
        self.show(f"{done:,}/{total:,} shards ({done / total:.0%})", done >= total)


def describe(progress: Progress) -> str:
    share = progress.images_done / progress.images_total if progress.images_total else 1.0
    parts = [f"{progress.images_done:,}/{progress.images_total:,} images ({share:.0%})"]
    if progress.images_per_second:
        parts.append(f"{progress.images_per_second:.1f} images/s")
    parts.append(f"{progress.failed:,} failed")
    if progress.seconds_left is not None and progress.images_done < progress.images_total:
        parts.append(f"{duration(progress.seconds_left)} left")
    return ", ".join(parts)
