"""What every test shares: a tiny untrained Imagen, and tiny text encoders written by the test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

pytest_plugins = ["tests.chromium", "tests.gateway"]

# For `pytest -n`: the files that share a server run in one process and in this order, so that it is started once and
# ends early. Others are groups of their own.
TOGETHER = {
    "s3": ["s3", "faults"],
    "model server": [f"online/test_{name}.py" for name in ("client", "page", "endpoint", "batches")],
    "other servers": [f"online/test_{name}.py" for name in ("fuzz", "storm", "overload", "keys", "refusals", "proxy")],
}
GROUPS = {place: group for group, places in TOGETHER.items() for place in places}
# Groups that take minutes, the longest first: they begin first, so that at the end both processes have short ones left.
LONG = [
    *TOGETHER,
    "docs/test_docs.py",
    "cluster/test_cluster.py",
    "infra/test_entry_points.py",
    "jobs/test_command_line.py",
    "diffusers_models/test_rows.py",
    "jobs/test_same_row_same_image.py",
    "jobs/test_submission.py",
    "jobs/test_evaluate_and_bench.py",
    "jobs/test_job_run.py",
    "jobs/test_nightly.py",
    "pipelines/test_ray.py",
    "pipelines/test_captioning.py",
    "pipelines/test_kill_driver.py",
]


def place_of(item: pytest.Item) -> str:
    """The folder or file that is, or is in, a group."""
    file = item.path.relative_to(Path(__file__).parent)
    return file.parts[0] if file.parts[0] in GROUPS else str(file)


def turn_of(item: pytest.Item) -> tuple[int, int]:
    """By which tests are sorted; within a file, and among short files, they stay as they are."""
    place = place_of(item)
    group = GROUPS.get(place, place)
    return LONG.index(group) if group in LONG else len(LONG), list(GROUPS).index(place) if place in GROUPS else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        place = place_of(item)
        item.add_marker(pytest.mark.xdist_group(GROUPS.get(place, place)))
    items.sort(key=turn_of)
