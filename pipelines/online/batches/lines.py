"""A batch's input file, lines `{custom_id, method, url, body}`, becomes a prompt table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imagen_model.generation import PARAMETERS, RequestRules

from ..errors import ApiError
from ..schemas import Asked, parse_request
from .answers import answer_line
from .request_line import Line, check_answerable, read_line
from .schemas import BatchError

MOST_MISTAKES = 100
ROWS_AT_ONCE = 1000
TABLE = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "prompt", "negative_prompt", "post_processing", "output_format")),
        *((name, pa.int64()) for name in ("seed", "width", "height", "n", "output_quality")),
        *((name, pa.float64()) for name in ("guidance_scale", "top_p", "temperature")),
        *((name, pa.int64()) for name in ("num_inference_steps", "top_k", "best_of")),
    ]
)


class InvalidBatch(Exception):
    """The file as a whole cannot be run."""

    def __init__(self, mistakes: list[BatchError]) -> None:
        super().__init__(mistakes[0].message)
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class Converted:
    """How many requests the file holds, and how many of them are refused without being tried."""

    total: int
    refused: int


def read_lines(path: Path, most: int) -> Iterator[Line]:
    """Raises:
    InvalidBatch: with all mistakes of form (at most 100), once the whole file is read.
    """
    mistakes: list[BatchError] = []
    seen: set[bytes] = set()
    count = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            count += 1
            if count > most:
                message = f"the file has more than {most:,} requests; split it"
                raise InvalidBatch([*mistakes, BatchError(code="too_many_requests", message=message, line=number)])
            try:
                line = read_line(number, raw)
                digest = hashlib.blake2b(line.custom_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
                if digest in seen:
                    message = f"custom_id {line.custom_id!r:.80} is there twice; give each request its own"
                    raise ApiError(400, "duplicate_custom_id", message, "custom_id")
                seen.add(digest)
            except ApiError as error:
                mistakes.append(BatchError(code=error.code, message=error.message, line=number, param=error.param))
                if len(mistakes) >= MOST_MISTAKES:
                    break
                continue
            if not mistakes:
                yield line
    if not count:
        mistakes.append(BatchError(code="empty_file", message="the file holds no request; write one a line"))
    if mistakes:
        raise InvalidBatch(mistakes)


def convert(
    source: Path, batch: str, names: frozenset[str], rules: RequestRules, most: int, table: Path, refusals: Path
) -> Converted:
    """Write the prompt table of what can be tried, and the finished error lines of what cannot.

    Args:
        names, rules: what the served model is called and takes.

    Raises:
        InvalidBatch: nothing of it can be run.
    """
    total = bad = 0
    rows: list[dict[str, Any]] = []
    with pq.ParquetWriter(table, TABLE) as writer, refusals.open("wb") as errors:
        for line in read_lines(source, most):
            total += 1
            try:
                rows.append(table_row(line, check_body(line, names, rules)))
            except ApiError as error:
                bad += 1
                errors.write(answer_line(batch, line.custom_id, error.status, error.body()))
            if len(rows) == ROWS_AT_ONCE:
                writer.write_table(pa.Table.from_pylist(rows, TABLE))
                rows.clear()
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, TABLE))
    return Converted(total, bad)


def check_body(line: Line, names: frozenset[str], rules: RequestRules) -> Asked:
    asked = parse_request(json.dumps(line.body).encode(), names, rules)
    check_answerable(line, asked.stream, asked.by_url)
    return asked


def table_row(line: Line, asked: Asked) -> dict[str, Any]:
    first = asked.requests[0]
    texts = ("prompt", "negative_prompt", "post_processing")
    own = {name: getattr(first, name) for name in (*texts, "width", "height", *PARAMETERS)}
    return own | {
        "id": line.custom_id,
        # Not the resolved one, which is drawn by chance where none is given; the job's is a hash of its row.
        "seed": line.body.get("seed"),
        "n": len(asked.requests),
        "output_format": asked.encoder.image_format,
        "output_quality": asked.encoder.quality,
    }
