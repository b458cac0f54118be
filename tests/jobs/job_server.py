"""A Ray cluster of three nodes with a job server, in a process of its own that ends with its standard input.

Prints one JSON line: the job server's address. Its nodes find nothing but broken packages of imagegen's names.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

MEMORY = 100 * 2**20  # bytes of each node's object store


def main(decoys: str) -> None:
    os.environ["PYTHONPATH"] = decoys
    from ray.cluster_utils import Cluster

    # Ray's own choice of the agent's port is one for all clusters of a machine.
    options: dict[str, Any] = {"object_store_memory": MEMORY, "dashboard_agent_listen_port": 0}
    head = {"num_cpus": 0, "include_dashboard": True, "dashboard_port": 0, **options}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=2, num_gpus=1, **options)  # logical
    cluster.wait_for_nodes()
    # Where several clusters are on a machine, Ray tells a submitted job to join any of them.
    another = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False, **options})
    print(json.dumps({"address": f"http://{cluster.head_node.webui_url}"}), flush=True)
    sys.stdin.read()
    another.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
