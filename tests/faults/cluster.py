"""A Ray cluster of three nodes on this machine, in a process of its own that ends with its standard input.

Prints one JSON line: the address to join, and the process of each node's raylet. The head runs no worker.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).parents[1]
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE / "pipelines")])  # as installed on a node
MEMORY = 100 * 2**20  # bytes of each node's object store


def main() -> None:
    from ray._private import ray_constants
    from ray.cluster_utils import Cluster

    options = {"object_store_memory": MEMORY, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **options})
    nodes = [cluster.add_node(num_cpus=4, object_store_memory=MEMORY) for _ in range(2)]
    cluster.wait_for_nodes()
    raylets = [node.all_processes[ray_constants.PROCESS_TYPE_RAYLET][0].process.pid for node in nodes]
    print(json.dumps({"address": cluster.address, "raylets": raylets}), flush=True)
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
