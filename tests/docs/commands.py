"""A page of the documentation as the shell session that it describes.

A page's ```bash and ```python blocks run one after another in one empty folder. A comment right before a block says
what is special: `<!-- run: exit 3 -->`, `<!-- run: background, until URL -->` (the rest of the page runs while it
answers), or `<!-- not run: WHY -->`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?:^<!-- (?P<rule>(?:not )?run: [^\n]+?) -->\n)?^```(?P<language>bash|python)\n(?P<text>.*?)^```$", re.M | re.S
)
START_SECONDS = 120.0


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    rule: str

    @property
    def reason(self) -> str | None:
        """Why it is not run."""
        return self.rule.removeprefix("not run: ") if self.rule.startswith("not run: ") else None

    @property
    def status(self) -> int:
        match = re.fullmatch(r"run: exit (\d+)", self.rule)
        return int(match[1]) if match else 0

    @property
    def until(self) -> str | None:
        """The URL whose answer says that this background command is ready."""
        match = re.fullmatch(r"run: background, until (\S+)", self.rule)
        return match[1] if match else None


def blocks(page: Path) -> list[Block]:
    return [Block(m["language"], m["text"], m["rule"] or "") for m in BLOCK.finditer(page.read_text())]


def environment(folder: Path) -> dict[str, str]:
    """In which `imagegen` and `python` are those of this test, and nothing is left over from another."""
    root = str(Path(__file__).parents[2])
    paths = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": root}
    settings = {"RAY_AUTH_MODE": "disabled", "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / ".cache")}
    return {**os.environ, **paths, **settings}


def run_page(page: Path, folder: Path) -> None:
    """Raises:
    AssertionError: a block ended otherwise than the page says; with what it printed.
    """
    background: list[subprocess.Popen[bytes]] = []
    try:
        for block in blocks(page):
            if block.reason is not None:
                continue
            command = ["bash", "-ec", block.text] if block.language == "bash" else [sys.executable, "-c", block.text]
            if block.until is not None:
                # The command itself, without a shell above it: it alone is told to end, and ends its own processes.
                command = ["bash", "-ec", f"exec {block.text}"]
                started = subprocess.Popen(command, cwd=folder, env=environment(folder))
                background.append(started)
                wait_for(block.until, started)
                continue
            run = subprocess.run(
                command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=240
            )
            assert run.returncode == block.status, (
                f"{block.text}\nended with {run.returncode}:\n{run.stdout}{run.stderr}"
            )
    finally:
        for process in background:
            process.terminate()
            process.wait(timeout=60)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"ended with {process.returncode} before {url} answered"
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"{url} did not answer within {START_SECONDS:.0f} s")
