"""What the manifests start, started: on a Ray cluster of two nodes on this machine, with tiny sizes."""

from __future__ import annotations

import base64
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.online.ports import free_port
from pipelines.verify import verify
from tests.cluster.nodes import Nodes, nodes_running, start_job, wait_until
from tests.faults import processes
from tests.infra.schemas import ROOT

KUBERNETES = ROOT / "infra/kubernetes"
TOOLS = Path(sys.executable).parent
PATIENCE = 120.0  # seconds
ROWS, SHARD_ROWS, SLEEP = 5_000, 50, 0.1  # of a job that goes on until it is stopped; seconds an image


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with nodes_running(2, 0, tmp_path_factory.mktemp("nodes")) as found:
        yield found


def environment(nodes: Nodes) -> dict[str, str]:
    """As in a pod of KubeRay: the tools on the path, the cluster's address in a variable."""
    path = os.pathsep.join([str(TOOLS), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "RAY_ADDRESS": nodes.address, "RAY_AUTH_MODE": "disabled"}


def test_the_rayjobs_entry_point(nodes: Nodes, tmp_path: Path) -> None:
    manifest = yaml.safe_load((KUBERNETES / "components/job/job.yaml").read_text())
    job = yaml.safe_load((KUBERNETES / "overlays/laptop/job/job.yaml").read_text())
    example = job["prompts"].partition("site-packages/")[2]
    job |= {"prompts": str(ROOT / example), "output": str(tmp_path / "run"), "model": "flat-colour", "shard_rows": 4}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    command = shlex.split(manifest["spec"]["entrypoint"].replace("/etc/imagegen/", f"{tmp_path}/"))
    of_nodes: set[int] = set()
    with (tmp_path / "run.log").open("w") as log:
        run = subprocess.Popen(command, env=environment(nodes), stdout=log, stderr=log, cwd=tmp_path)
        while run.poll() is None:
            of_nodes |= {process for raylet in nodes.raylets for process in processes.below(raylet)}
            time.sleep(0.2)
    assert run.returncode == 0, (tmp_path / "run.log").read_text()[-3000:]
    assert verify(str(tmp_path / "run")).ok
    # How many of them had a share is chance: on a busy machine one is through before the other has started.
    made_by = pads.dataset(tmp_path / "run/manifest").to_table(["worker"])["worker"].unique().to_pylist()
    assert {int(worker.rpartition(":")[2]) for worker in made_by} <= of_nodes
    assert 1 <= len(made_by) <= job["workers"]


def test_the_rayservices_configuration(nodes: Nodes, tmp_path: Path) -> None:
    manifest = yaml.safe_load((KUBERNETES / "overlays/laptop/service/service.yaml").read_text())
    config = yaml.safe_load(manifest["spec"]["serveConfigV2"])
    port = free_port()
    config["http_options"] = {"host": "127.0.0.1", "port": port}
    config["applications"][0]["args"] |= {"model": "flat-colour", "batch_folder": str(tmp_path / "batches")}
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(config))
    command = [str(TOOLS / "serve"), "run", "--address", nodes.address, str(tmp_path / "serve.yaml")]
    with (tmp_path / "serve.log").open("w") as log:
        served = subprocess.Popen(command, env=environment(nodes), stdout=log, stderr=log, cwd=tmp_path)
    try:
        data = base64.b64decode(picture(port, served, tmp_path / "serve.log")["data"][0]["b64_json"])
        assert data.startswith(b"\x89PNG")
    finally:
        served.send_signal(signal.SIGINT)
        try:
            served.wait(60)
        except subprocess.TimeoutExpired:
            processes.kill(*processes.below(served.pid))
            served.wait()


def picture(port: int, served: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    body = json.dumps({"prompt": "a red circle", "size": "64x64"}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/images/generations", body, {"Content-Type": "application/json"}
    )
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except OSError as error:
            assert served.poll() is None and time.monotonic() < end, f"{error}\n{log.read_text()[-3000:]}"
            time.sleep(0.5)


def test_both_kinds_of_service_differ_in_their_resources_and_bucket_alone() -> None:
    paths = ("components/service/service.yaml", "overlays/laptop/service/service.yaml")
    configs = [
        yaml.safe_load(yaml.safe_load((KUBERNETES / path).read_text())["spec"]["serveConfigV2"]) for path in paths
    ]
    for config in configs:
        for name in ("replicas", "max_replicas", "gpus_per_replica", "batch_folder", "max_queue"):
            config["applications"][0]["args"].pop(name, None)
    assert configs[0] == configs[1]


def made(working: Path, workers: list[int]) -> int:
    """Images that the workers' models made, stored or not."""
    return sum(int(line) for worker in workers for line in (working / "pids" / str(worker)).read_text().split())


@pytest.fixture
def working(nodes: Nodes, tmp_path: Path) -> Iterator[Path]:
    """The folder of a job at work on one of the nodes, whose shards take five seconds."""
    folder = tmp_path / "working"
    folder.mkdir()
    (folder / "pids").mkdir()
    pq.write_table(pa.table({"prompt": [f"picture {index}" for index in range(ROWS)]}), folder / "prompts.parquet")
    asked = {"prompts": str(folder / "prompts.parquet"), "output": str(folder / "out"), "shard_rows": SHARD_ROWS}
    asked |= {
        "sleep": SLEEP,
        "workers": 1,
        "pids": str(folder / "pids"),
        "log_file": str(folder / "ray.log"),
        "report": False,
    }
    driver = start_job({**asked, "ray_address": nodes.address}, folder)
    try:
        wait_until("it works", lambda: len(list((folder / "out").glob("manifest/*.parquet"))) > 0, driver)
        yield folder
    finally:
        driver.send_signal(signal.SIGTERM)
        driver.communicate(timeout=60)


def test_leave_node_returns_when_the_nodes_workers_are_through(nodes: Nodes, working: Path, tmp_path: Path) -> None:
    leaving = next(index for index in range(2) if nodes.workers(index, working / "pids"))
    workers = nodes.workers(leaving, working / "pids")
    # A pod sees its own processes alone. Here pgrep is shown those that the node's raylet started, and no other node's.
    pgrep = tmp_path / "pgrep"
    pgrep.write_text(f'#!/bin/sh\nexec {shutil.which("pgrep")} --parent {nodes.raylets[leaving]} "$@"\n')
    pgrep.chmod(0o755)
    found = environment(nodes) | {"TMPDIR": str(nodes.folder)}
    found["PATH"] = os.pathsep.join([str(tmp_path), found["PATH"]])
    command = [str(ROOT / "infra/docker/leave-node"), f"{PATIENCE:.0f}", "--address", nodes.address]
    before = made(working, workers)
    began = time.monotonic()
    subprocess.run([*command, "--node-id", nodes.ids[leaving]], env=found, check=True, timeout=PATIENCE + 60)
    took = time.monotonic() - began
    after = made(working, workers)
    names = pads.dataset(working / "out/manifest").to_table(["worker"])["worker"].to_pylist()
    stored = [int(name.rpartition(":")[2]) for name in names]
    assert took < PATIENCE, "it waited for workers that had nothing to do"
    assert after > before, "its workers had nothing in hand, so this shows nothing"
    assert after == sum(stored.count(worker) for worker in workers)
