"""OpenAI's batch files, lines `{custom_id, method, url, body}`, as a prompt table.

A body is read as the server reads it: strictly, by the same code. What the job decides for all its pictures
(`output_format`, `output_compression`) passes through to the manifest; what changes nothing (`user`, ...) is not kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from .online.batches.request_line import KEYS, Line, check_answerable, read_line
from .online.errors import ApiError
from .online.schemas import ImageRequest, check_stream, encoder_of, read_body_as
from .text_lines import INVALID, TEXT, Row, lines, parse_object, storable

COLUMNS: dict[str, pa.DataType] = {
    **dict.fromkeys(("prompt", "negative_prompt", "size", "model", "post_processing", "output_format"), TEXT),
    **dict.fromkeys(("seed", "n", "num_inference_steps", "top_k", "best_of", "output_compression"), pa.int64()),
    **dict.fromkeys(("guidance_scale", "top_p", "temperature"), pa.float64()),
}
LARGEST = 2**63 - 1


def is_batch(open_file: Callable[[], Any]) -> bool:
    """Whether the file's first JSON object is a request of a batch; no prompt table has such keys."""
    with open_file() as file:
        first = next((found for line in lines(file) if (found := parse_object(line)[0])), {})
    return {"url", "body"} <= set(first) <= KEYS and isinstance(first["body"], dict)


def batch_schema(open_file: Callable[[], Any]) -> pa.Schema:
    """`id`, `prompt`, and a column for each parameter that any of the requests gives."""
    given = {"prompt"}
    with open_file() as file:
        for line in lines(file):
            body = parse_object(line)[0].get("body")
            given |= set(body) & set(COLUMNS) if isinstance(body, dict) else set()
    return pa.schema([("id", TEXT), *((name, kind) for name, kind in COLUMNS.items() if name in given)])


def batch_rows(open_file: Callable[[], Any], schema: pa.Schema) -> Iterator[Row]:
    with open_file() as file:
        for number, raw in enumerate(lines(file), start=1):
            _, problem = parse_object(raw)
            if problem or not raw.strip():
                yield {INVALID: problem}
                continue
            row: Row = {}
            try:
                line = read_line(number, raw)
                row["id"] = storable(line.custom_id)
                row |= {name: value for name, value in request_cells(line).items() if name in schema.names}
            except ApiError as error:
                row[INVALID] = error.message
            yield row


def request_cells(line: Line) -> Row:
    """Raises:
    ApiError: the server would not take the request, whatever its model.
    """
    given = read_body_as(ImageRequest, json.dumps(line.body).encode())
    check_stream(given)
    encoder_of(given)
    check_answerable(line, given.stream or False, given.response_format == "url")
    cells: Row = {}
    for name in COLUMNS:
        value = getattr(given, name)
        if isinstance(value, str) and storable(value) != value:
            raise ApiError(400, "invalid_row", f"{name} has half of a surrogate pair, which is no character; remove it")
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ApiError(400, "invalid_value", f"{name} is {value:.3g}, a number that no parameter takes; correct it")
        cells[name] = None if (name, value) == ("size", "auto") else value
    return cells
