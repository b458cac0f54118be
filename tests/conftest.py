"""What every test shares: a tiny untrained Imagen, and tiny text encoders written by the test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

pytest_plugins = ["tests.chromium", "tests.gateway"]

# For `pytest -n`: the files that share a server run in one process, so that it is started once. Others are groups of
# their own.
TOGETHER = {
    "s3": ["s3", "faults"],
    "model server": [f"online/test_{name}.py" for name in ("batches", "client", "endpoint", "page")],
    "other servers": [f"online/test_{name}.py" for name in ("fuzz", "overload", "proxy", "refusals", "storm")],
}
GROUPS = {place: group for group, places in TOGETHER.items() for place in places}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        file = item.path.relative_to(Path(__file__).parent)
        group = GROUPS.get(file.parts[0], GROUPS.get(str(file), str(file)))
        item.add_marker(pytest.mark.xdist_group(group))
