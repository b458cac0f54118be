"""What travels to the cluster: the three packages as they are imported here, the job file, and the versions that it
was written against.

Ray names each package by its content and uploads what the cluster does not hold yet, so that a second submission
sends nothing but the job file.
"""

from __future__ import annotations

import hashlib
import json
import re
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from pipelines.errors import InvalidJob

PACKAGES = ("imagen_model", "pipelines", "jobs")
JOB, LOCK, TRAVELLING = "job.yaml", "requirements.lock", "travelling.json"
MAX_PACKAGE = 100 * 2**20  # bytes that the job server takes at once
# Other versions of these may give other bytes.
DECIDING = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "pillow", "pyarrow", "ray")
LEFT_OUT = ("__pycache__", ".git")


def package_folders() -> list[Path]:
    """Of the packages as this process imports them, whatever folder it runs in.

    Raises:
        InvalidJob: one is too large to travel.
    """
    folders = [Path(str(import_module(name).__file__)).parent for name in PACKAGES]
    for folder in folders:
        size = sum(path.stat().st_size for path in files_of(folder))
        if size > MAX_PACKAGE:
            raise InvalidJob(
                f"{folder} has {size / 2**20:.0f} MiB, a cluster takes packages of at most {MAX_PACKAGE // 2**20}; "
                "keep large models in a bucket and give their URL as `model`"
            )
    return folders


def files_of(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in found if not set(path.relative_to(folder).parts) & set(LEFT_OUT))


def code_hash() -> str:
    """Of every Python file of the packages that this process imports."""
    digest = hashlib.sha256()
    for name in PACKAGES:
        folder = Path(str(import_module(name).__file__)).parent
        for path in files_of(folder):
            if path.suffix == ".py":
                digest.update(f"{name}/{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def to_install(distribution: str = "imagegen") -> dict[str, str]:
    """Version of each package that imagegen needs, as `installed`, to be installed elsewhere.

    Raises:
        InvalidJob: imagegen is imported here without being installed, so nobody says what it needs.
    """
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        raise InvalidJob(
            f"--install brings what {distribution} was installed with, but it is only imported here, not installed; "
            f"pip install {distribution} first, or leave --install out"
        ) from None
    return installed(distribution)


def installed(distribution: str = "imagegen") -> dict[str, str]:
    """Version of each package that imagegen needs here, by name: what a lock file says, of what is really there.

    Where imagegen is only imported, not installed, it says of none; those that decide the bytes are there all the same.
    """
    found: dict[str, str] = {}
    waiting = [(distribution, frozenset[str]())]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # an extra of somebody's that is not used here
        if name != distribution:
            found[canonical(name)] = package.version
        for text in package.requires or ():
            requirement = Requirement(text)
            wanted = any(
                requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in {"", *extras}
            )
            key = (canonical(requirement.name), frozenset(requirement.extras))
            if wanted and key not in seen:
                seen.add(key)
                waiting.append(key)
    found |= {name: version for name in DECIDING if name not in found and (version := version_of(name)) is not None}
    return dict(sorted(found.items()))


def version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def public(version: str) -> str:
    """Without what tells a build for CPUs from one for GPUs."""
    return version.partition("+")[0]


def lock_lines(versions: dict[str, str]) -> list[str]:
    return [f"{name}=={public(version)}" for name, version in versions.items()]


def write_folder(folder: Path, job: str, versions: dict[str, str]) -> None:
    """The working folder of the driver on the cluster."""
    (folder / JOB).write_text(job, encoding="utf-8")
    (folder / LOCK).write_text("\n".join(lock_lines(versions)) + "\n")
    deciding = {name: versions[name] for name in DECIDING if name in versions}
    (folder / TRAVELLING).write_text(json.dumps({"code": code_hash(), "versions": deciding}, indent=1))


def differences(travelling: dict[str, Any], versions: dict[str, str]) -> list[str]:
    """Packages whose version is another here than where the job came from."""
    return [
        f"{name} {public(versions.get(name, 'none'))} here, {public(version)} there"
        for name, version in travelling["versions"].items()
        if public(versions.get(name, "none")) != public(version)
    ]
