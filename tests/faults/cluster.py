"""A Ray cluster on this machine, in a process of its own: python -m tests.faults.cluster [NODES [GPUS]]

The head runs no worker. One JSON line on standard output says the address to join, and of each node the raylet's
process and Ray's identifier; each line of standard input is a command, answered by one more: `join` adds a node,
`drain I SECONDS` tells Ray that node I (counted from 0) will be gone then, `leave I` ends it in good order. It ends
with its input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE / "pipelines")])  # as installed on a node
MEMORY = 100 * 2**20  # bytes of each node's object store


def main(nodes: int = 2, gpus: int = 0) -> None:
    from ray.cluster_utils import Cluster

    options = {"object_store_memory": MEMORY, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **options})
    held: list[Any] = []

    def join() -> None:
        held.append(cluster.add_node(num_cpus=4, num_gpus=gpus, object_store_memory=MEMORY))

    for _ in range(nodes):
        join()
    cluster.wait_for_nodes()
    head = raylet(cluster.head_node)
    nodes_said = {"raylets": [raylet(node) for node in held], "ids": [node.node_id for node in held]}
    say({"address": cluster.address, "head": head, **nodes_said})
    for line in sys.stdin:
        match line.split():
            case ["join"]:
                join()
                say({"raylet": raylet(held[-1]), "id": held[-1].node_id})
            case ["drain", index, seconds]:
                drain(cluster.address, held[int(index)].node_id, seconds)
                say({})
            case ["leave", index]:
                cluster.remove_node(held[int(index)])
                say({})
    cluster.shutdown()


def raylet(node: Any) -> int:
    from ray._private import ray_constants

    process: int = node.all_processes[ray_constants.PROCESS_TYPE_RAYLET][0].process.pid
    return process


def drain(address: str, node: str, seconds: str) -> None:
    """What a node is told that is to be taken away, as `infra/docker/leave-node` tells it."""
    command = [str(Path(sys.executable).with_name("ray")), "drain-node", "--address", address, "--node-id", node]
    command += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "a test"]
    subprocess.run([*command, "--deadline-remaining-seconds", seconds], check=True, stdout=sys.stderr)


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
