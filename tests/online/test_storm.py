"""Five hundred requests, 64 at a time: each gets its own answer, and nothing of them stays behind."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from .conftest import Server
from .storm import AT_ONCE, FILLING, REQUESTS, Good, kinds, plan, read, storm
from .test_overload import begin, expected, in_flight
from .test_refusals import check_form, wait_for

SIZES = ("16x16", "64x64", "128x128")
PATIENCE = 0.1
KEPT = 4 * 2**20  # bytes of a process that are not taken for a leak


@cache
def right(asked: Good) -> bytes:
    return expected(asked.prompt, asked.seed, int(asked.size.partition("x")[0]))


def processes(server: Server) -> dict[int, str]:
    """Those of the server that hold requests, by their ids: proxy, ingress and replicas."""
    parents, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            title = (folder / "cmdline").read_bytes().partition(b"\0")[0].decode()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since
        parents[int(folder.name)] = parent
        titles[int(folder.name)] = title.partition(".")[0]  # Ray adds the method that runs
    ours = {server.process.pid}
    for _ in range(4):  # driver, raylet, worker
        ours |= {pid for pid, parent in parents.items() if parent in ours}
    return {pid: titles[pid] for pid in ours if titles[pid].startswith(("ray::ProxyActor", "ray::ServeReplica"))}


def models(server: Server) -> list[int]:
    return [pid for pid, title in processes(server).items() if title.endswith("Model")]


def own_memory(pid: int) -> int:
    """Bytes that are the process's alone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def painted(server: Server, pid: int) -> list[str]:
    """The prompts that one replica's model was given."""
    files = server.folder.glob(f"{pid}-*")
    return [line.removesuffix(FILLING) for file in files for line in file.read_text().splitlines()]


def test_each_gets_its_own_answer_and_memory_comes_back(wide_server: Server) -> None:
    # The first two grow the processes' heaps to what such storms need; a leak grows with the third one too.
    for name in ("first", "second", "third"):
        before = {pid: own_memory(pid) for pid in processes(wide_server)}
        outcomes = storm(wide_server, plan(name, SIZES, PATIENCE), right)
        assert kinds(outcomes) == {"right": REQUESTS * 7 // 10, "refused": REQUESTS // 5, "left": REQUESTS // 10}
        wait_for(lambda: in_flight(wide_server) == 0)
    assert len(before) == 4  # proxy, ingress, two replicas
    until = time.monotonic() + 5
    while grown := {pid: own_memory(pid) - then for pid, then in before.items() if own_memory(pid) > then + KEPT}:
        assert time.monotonic() < until, {processes(wide_server)[pid]: more for pid, more in grown.items()}
        time.sleep(0.2)


def test_a_replica_killed_meanwhile_loses_only_what_was_on_it(wide_server: Server) -> None:
    wait_for(lambda: len(models(wide_server)) == 2)
    held = f"HOLD {wide_server.folder / 'never'}"
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(storm, wide_server, plan("killed", SIZES, PATIENCE), right)
        wait_for(lambda: in_flight(wide_server) > 0)
        stuck = begin(wide_server, held)  # so that one at least is on the replica, and others wait behind it
        wait_for(lambda: holders(wide_server, held) or running.done())
        (victim,) = holders(wide_server, held)
        os.kill(victim, signal.SIGKILL)
        killed = time.time()
        outcomes = running.result(120)
    status, headers, content = read(stuck)
    assert status == 503 and headers["retry-after"]
    assert check_form(status, headers, json.loads(content)) == "replica_died"
    found = kinds(outcomes)
    assert found["refused"] == REQUESTS // 5 and found["left"] == REQUESTS // 10
    assert found["right"] + found.get("lost", 0) == REQUESTS * 7 // 10
    lost = [outcome for outcome in outcomes if outcome.kind == "lost"]
    # What was in flight, and what was sent to it in the moment before its death was known.
    assert len(lost) <= AT_ONCE and all(outcome.began < killed + 2 for outcome in lost)
    survivors = {prompt for pid in models(wide_server) for prompt in painted(wide_server, pid)}
    assert not survivors & {
        outcome.asked.prompt.removesuffix(FILLING) for outcome in lost if isinstance(outcome.asked, Good)
    }
    wait_for(lambda: in_flight(wide_server) == 0)


def holders(server: Server, prompt: str) -> list[int]:
    """The replicas whose model was given it."""
    return [pid for pid in models(server) if prompt in painted(server, pid)]
