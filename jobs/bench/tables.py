"""Prompt tables for measurements, written a row group at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP = 50_000
SUBJECTS = ("a red circle", "three blue squares", "a green heart above a yellow cross", "a meadow at sunset")


def write_prompts(path: Path, rows: int, first: int = 0) -> Path:
    """A Parquet table of `rows` prompts with seeds, which count on from `first`."""
    schema = pa.schema([("prompt", pa.string()), ("seed", pa.int64())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(first, first + rows, ROW_GROUP):
            numbers = np.arange(start, min(first + rows, start + ROW_GROUP))
            prompts = pa.array(SUBJECTS).take(pa.array(numbers % len(SUBJECTS)))
            writer.write_table(pa.table([prompts, pa.array(numbers)], schema=schema))
    return path
