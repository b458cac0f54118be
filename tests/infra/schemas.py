"""Kubernetes' and KubeRay's own schemas, closed: a field that they do not know is a mistake.

KubeRay's come from the folder beside the repository; Kubernetes' are in the package `kubernetes-validate`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
from referencing import Registry, Resource

ROOT = Path(__file__).parents[2]
KUBERAY = ROOT.parent / "shared" / "kuberay"
VERSION = "1.37.0"  # of Kubernetes
RAY_KINDS = ("RayCluster", "RayJob", "RayCronJob", "RayService")
# Characters of a name that KubeRay 1.7 takes (ray-operator/controllers/ray/utils/constant.go); no schema says it.
LONGEST = {"RayCluster": 53, "RayJob": 47, "RayCronJob": 36, "RayService": 47}


def mistakes(manifest: dict[str, Any]) -> list[str]:
    """What its schema says against a manifest; none for a good one."""
    if manifest["kind"] in RAY_KINDS and manifest["apiVersion"] == "ray.io/v1":
        found = ray_validator(manifest["kind"]).iter_errors(manifest)
        return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in found]
    if manifest["kind"] == "ConfigMap":  # whose data is free
        manifest = manifest | {"data": {}}
    try:
        kubernetes_validate.validate(manifest, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [error.message]
    return []


@cache
def ray_validator(kind: str) -> jsonschema.Draft202012Validator:
    schema = closed(json.loads((KUBERAY / f"{kind}.v1.schema.json").read_text()))
    schema["properties"]["metadata"] = {
        "type": "object",
        "additionalProperties": False,
        "anyOf": [{"required": ["name"]}, {"required": ["generateName"]}],
        "properties": {
            "generateName": {"type": "string"},
            "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": LONGEST[kind]},
            "namespace": {"type": "string"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    }
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    return jsonschema.Draft202012Validator(schema, registry=Registry[Resource[Any]]())


def closed(schema: Any) -> Any:
    """The schema with every object that lists its fields held to them."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(part) for name, part in schema.items()}
    lists = isinstance(found.get("properties"), dict) and found.get("type") == "object"
    if lists and not found.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    if found.get("nullable") and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    return found


def mappings(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every mapping in a document, its own () first."""
    if isinstance(value, dict):
        yield path
        for name, part in value.items():
            yield from mappings(part, (*path, name))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from mappings(part, (*path, index))
