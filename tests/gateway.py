"""One real S3 server for all tests that ask for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

GATEWAY = Path(__file__).parents[1] / "infra/s3/gateway.sh"


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The gateway's folder; its endpoint and keys are in the environment meanwhile."""
    folder = tmp_path_factory.mktemp("s3") / "gateway"
    started = subprocess.run([str(GATEWAY), "start", str(folder)], capture_output=True, text=True, check=False)
    if started.returncode:
        if os.environ.get("IMAGEGEN_REQUIRE_S3") == "1":
            pytest.fail(f"the S3 gateway does not start: {started.stderr}")
        pytest.skip(f"no S3 gateway here: {started.stderr.strip()}")
    before = dict(os.environ)
    os.environ |= dict(line.removeprefix("export ").split("=", 1) for line in started.stdout.splitlines())
    try:
        yield folder
    finally:
        for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            os.environ.pop(name) if name not in before else os.environ.__setitem__(name, before[name])
        subprocess.run([str(GATEWAY), "stop", str(folder)], check=True)
