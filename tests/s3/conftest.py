"""A bucket for each test, and tables in it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.s3_store import S3Store
from pipelines.storage import open_store


@pytest.fixture
def bucket(gateway: Path) -> str:
    """The URL of a new bucket."""
    return new_bucket()


def new_bucket() -> str:
    """Its URL; the gateway is up."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    S3Store(f"s3://{name}").client.create_bucket(Bucket=name)
    return f"s3://{name}"


@pytest.fixture
def table(bucket: str) -> Callable[..., str]:
    """Writes columns to a Parquet object below `prompts/` and gives its URL."""

    def write(columns: dict[str, list[object]], name: str = "prompts.parquet", row_group_size: int = 1000) -> str:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns), sink, row_group_size=row_group_size)
        open_store(bucket).put(f"prompts/{name}", sink.getvalue().to_pybytes())
        return f"{bucket}/prompts/{name}"

    return write
