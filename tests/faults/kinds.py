"""The faults. Each starts a run, strikes it, and returns when the struck run has ended or is past the fault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.gateway import GATEWAY

from . import processes
from .scene import ROOT, ROWS, TRIES, Scene, Stuck, write_prompts

GATEWAY_DOWN = 20.0  # seconds
REFUSED = 60.0  # seconds


def kill_driver(scene: Scene) -> None:
    driver = scene.start()
    scene.midway(driver)
    processes.kill(driver.pid)
    scene.end(driver)


def kill_worker(scene: Scene) -> None:
    driver = scene.start()
    for _ in range(scene.random.randint(1, 3)):
        scene.midway(driver)
        if living := processes.workers(scene.pids):
            processes.kill(scene.random.choice(living))
            scene.log.append("killed a worker")
    scene.end(driver)


def kill_raylet(scene: Scene) -> None:
    driver = scene.start()
    scene.midway(driver)
    if (raylet := processes.raylet_of(driver.pid)) is not None:
        processes.kill(raylet)
        scene.log.append("killed the raylet")
    scene.end(driver)


def kill_node(scene: Scene) -> None:
    """Every process at once of a node on which a worker is making pictures; the other node goes on."""
    with three_nodes(scene) as (address, raylets):
        scene.ray_address = address
        driver = scene.start()
        scene.midway(driver)
        hosts = [r for r in raylets if set(processes.below(r)) & set(processes.workers(scene.pids))]
        if hosts:
            node = processes.below(scene.random.choice(hosts))
            processes.kill(*node)
            scene.log.append(f"killed a node of {len(node)} processes")
        scene.end(driver)
        scene.ray_address = None


@contextmanager
def three_nodes(scene: Scene) -> Iterator[tuple[str, list[int]]]:
    """A cluster's address and its nodes' raylets, the head's left out."""
    for _ in range(TRIES):  # on a machine that is too busy, Ray itself may not start
        cluster = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.cluster"],
            cwd=ROOT,
            env={**os.environ, "AWS_ENDPOINT_URL": scene.proxy.url, "RAY_TMPDIR": str(scene.folder / "ray")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(scene.folder / "driver.err").open("a"),
            text=True,
        )
        assert cluster.stdout is not None
        try:
            if line := cluster.stdout.readline():
                found = json.loads(line)
                yield found["address"], found["raylets"]
                return
        finally:
            processes.end(cluster)
    raise Stuck(f"the cluster did not start; {scene.said()}")


def gateway_down(scene: Scene) -> None:
    """The server is stopped, or dies and comes back, for 20 seconds."""
    driver = scene.start()
    scene.midway(driver)
    process = int((scene.gateway / "rgw.pid").read_text())
    if scene.random.random() < 0.5:
        os.kill(process, signal.SIGSTOP)
        time.sleep(GATEWAY_DOWN)
        os.kill(process, signal.SIGCONT)
        scene.log.append("gateway stopped and continued")
    else:
        processes.kill(process)
        time.sleep(GATEWAY_DOWN)
        subprocess.run([str(GATEWAY), "rgw", str(scene.gateway)], check=True)
        scene.log.append("gateway killed and started")
    scene.end(driver)


def slow_down(scene: Scene) -> None:
    scene.proxy.faults.slow = scene.random.uniform(0.1, 0.4)
    scene.end(scene.start())
    scene.log.append(f"{scene.proxy.counts.slowed} of {scene.proxy.counts.requests} requests slowed")


def cut_connections(scene: Scene) -> None:
    scene.proxy.faults.cut = scene.random.uniform(0.05, 0.25)
    scene.end(scene.start())
    counts = scene.proxy.counts
    scene.log.append(f"{counts.cut_requests} requests and {counts.cut_answers} answers of {counts.requests} cut")


def stormy_network(scene: Scene) -> None:
    """Both at once, and a worker is killed."""
    scene.proxy.faults.slow, scene.proxy.faults.cut = 0.15, 0.1
    kill_worker(scene)
    counts = scene.proxy.counts
    scene.log.append(f"{counts.slowed} slowed, {counts.cut_requests} and {counts.cut_answers} cut of {counts.requests}")


def network_refused(scene: Scene) -> None:
    driver = scene.start()
    scene.midway(driver)
    scene.proxy.refuse()
    time.sleep(REFUSED)
    scene.proxy.accept()
    scene.end(driver)


def disk_full(scene: Scene) -> None:
    """The local output lies on a file system that is too small, and then is not any more."""
    from pipelines.storage import LocalStore

    disk = scene.folder / "disk"
    disk.mkdir()
    size = scene.random.randint(40, 280 if scene.layout == "imagefolder" else 80)  # KiB; every file takes 4
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)], check=True)
    scene.output, scene.store = str(disk / "out"), LocalStore(str(disk / "out"))
    status = scene.end(scene.start())
    scene.log.append(f"{size} KiB, {scene.finished()} shards fitted, exit {status}")
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


def two_at_once(scene: Scene) -> None:
    """Two runs start together on a new output, or on one whose holder was just killed."""
    if scene.random.random() < 0.5:
        kill_driver(scene)
    pair = [scene.start(), scene.start()]
    statuses = sorted(scene.end(driver) for driver in pair)
    scene.log.append(f"both ended: {statuses}")


def poison(scene: Scene) -> None:
    """A row that kills its worker every time; the rest of the table is as ever."""
    row = scene.random.randrange(ROWS)
    scene.poisoned = row
    scene.prompts = write_prompts(f"poison-{row}", poisoned=row)
    scene.end(scene.start())
    scene.log.append(f"row {row}")


KINDS: dict[str, Callable[[Scene], None]] = {
    "kill-driver": kill_driver,
    "kill-worker": kill_worker,
    "kill-raylet": kill_raylet,
    "kill-node": kill_node,
    "gateway-down": gateway_down,
    "slow-down": slow_down,
    "cut-connections": cut_connections,
    "stormy-network": stormy_network,
    "network-refused": network_refused,
    "disk-full": disk_full,
    "two-at-once": two_at_once,
    "poison": poison,
}


def release(scene: Scene) -> None:
    """Undo what a fault has left on the machine."""
    disk = Path(scene.folder / "disk")
    if disk.exists():
        subprocess.run(["umount", "-l", str(disk)], check=True)
