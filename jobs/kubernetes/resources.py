"""What every resource is made of, and how resources are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

MOUNT = "/etc/imagegen"
USER = 1000  # of the image
POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a job is to run.

    Args:
        image: of a container with imagegen.
        namespace: in which the secrets are.
        cron_job: a CronJob that creates RayJobs, else a RayCronJob.
        queue: Kueue's LocalQueue that lets runs in; None for no queue.
        priority_class: of the cluster's pods; None for the usual one.
    """

    image: str
    namespace: str = "imagegen"
    cron_job: bool = False
    queue: str | None = None
    priority_class: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """What the resources of one job have in common."""

    name: str
    namespace: str

    @property
    def labels(self) -> dict[str, str]:
        return {"app.kubernetes.io/name": "imagegen", "app.kubernetes.io/instance": self.name}

    def resource(self, version: str, kind: str, suffix: str = "", **parts: Any) -> Manifest:
        metadata = {"name": self.name + suffix, "namespace": self.namespace, "labels": self.labels}
        return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


class Dumper(yaml.SafeDumper):
    """Text of several lines as a block, and no part written as a reference to another."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Dumper.add_representer(str, block)


def dumped(manifests: Sequence[Manifest]) -> str:
    return str(yaml.dump_all(manifests, Dumper=Dumper, sort_keys=False, width=100))
