"""A batch's input file: what is refused as a whole, what line by line, and what becomes a row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from imagen_model.flat_colour import FlatColourGenerator
from pipelines.online.batches.answers import line_id
from pipelines.online.batches.lines import Converted, InvalidBatch, convert

URL = "/v1/images/generations"


def line(custom_id: object = "a", **changes: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": URL, "body": {"prompt": "a red circle"}} | changes


def converted(tmp_path: Path, content: bytes, most: int = 100) -> tuple[Converted, list[dict[str, Any]], list[Any]]:
    source, table, refused = tmp_path / "in.jsonl", tmp_path / "table.parquet", tmp_path / "refused.jsonl"
    source.write_bytes(content)
    made = convert(source, "batch_1", frozenset({"flat"}), FlatColourGenerator.rules, most, table, refused)
    return made, pq.read_table(table).to_pylist(), [json.loads(text) for text in refused.read_text().splitlines()]


def file(*lines: object) -> bytes:
    return "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines).encode()


@pytest.mark.parametrize(
    ("lines", "code", "param", "number"),
    [
        (["{not json"], "invalid_json_line", None, 1),
        (["[1, 2]"], "invalid_json_line", None, 1),
        ([line(), line()], "duplicate_custom_id", "custom_id", 2),
        ([line(None)], "invalid_custom_id", "custom_id", 1),
        ([line("x" * 513)], "invalid_custom_id", "custom_id", 1),
        ([line(method="GET")], "invalid_method", "method", 1),
        ([line(), line("b", url="/v1/chat/completions")], "mismatched_url", "url", 2),
        ([line(body="a red circle")], "invalid_body", "body", 1),
        ([line(priority=1)], "unsupported_parameter", "priority", 1),
        (["", "  "], "empty_file", None, None),
    ],
)
def test_a_file_that_is_no_batch_is_refused_with_the_line(
    tmp_path: Path, lines: list[object], code: str, param: str | None, number: int | None
) -> None:
    with pytest.raises(InvalidBatch) as refusal:
        converted(tmp_path, file(*lines))
    (mistake,) = refusal.value.mistakes
    assert (mistake.code, mistake.param, mistake.line) == (code, param, number)


def test_all_mistakes_of_form_are_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidBatch) as refusal:
        converted(tmp_path, file(line("a"), "{", line("a"), line("b", method="PUT")))
    assert [(each.line, each.code) for each in refusal.value.mistakes] == [
        (2, "invalid_json_line"),
        (3, "duplicate_custom_id"),
        (4, "invalid_method"),
    ]


def test_too_many_requests_are_refused_and_as_many_as_allowed_are_taken(tmp_path: Path) -> None:
    assert converted(tmp_path, file(*(line(str(number)) for number in range(5))), most=5)[0] == Converted(5, 0)
    with pytest.raises(InvalidBatch, match="more than 4 requests"):
        converted(tmp_path, file(*(line(str(number)) for number in range(5))), most=4)


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({}, 400, "missing_required_parameter", "prompt"),
        ({"prompt": " "}, 400, "empty_prompt", "prompt"),
        ({"prompt": "x", "colour": "red"}, 400, "unsupported_parameter", "colour"),
        ({"prompt": "x", "size": "7x7"}, 400, "invalid_size", "size"),
        ({"prompt": "x", "n": 11}, 400, "invalid_value", "n"),
        ({"prompt": "x", "best_of": 2}, 400, "invalid_parameter", "best_of"),
        ({"prompt": "x", "post_processing": "upscale=9x9"}, 400, "invalid_parameter", "post_processing"),
        ({"prompt": "x", "model": "dall-e-3"}, 404, "model_not_found", "model"),
        ({"prompt": "x", "stream": True}, 400, "invalid_value", "stream"),
        ({"prompt": "x", "response_format": "url"}, 400, "invalid_value", "response_format"),
        ({"prompt": "x \ud800"}, 400, "invalid_row", "prompt"),
    ],
)
def test_a_request_that_cannot_be_made_is_answered_as_online_and_its_neighbours_are_rows(
    tmp_path: Path, body: dict[str, Any], status: int, code: str, param: str
) -> None:
    made, rows, refused = converted(tmp_path, file(line("before"), line("bad", body=body), line("after")))
    assert made == Converted(3, 1)
    assert [row["id"] for row in rows] == ["before", "after"]
    (answer,) = refused
    assert answer["custom_id"] == "bad" and answer["error"] is None
    assert answer["response"]["status_code"] == status
    error = answer["response"]["body"]["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert answer["id"] == line_id("batch_req_", "batch_1", "bad") != line_id("batch_req_", "batch_2", "bad")


def test_a_row_says_what_the_request_says(tmp_path: Path) -> None:
    body = {"prompt": "a\nb", "n": 3, "seed": 4, "size": "64x64", "output_format": "jpeg", "output_compression": 0}
    _, (row,), _ = converted(tmp_path, file(line("äö", body=body)))
    wanted = {"id": "äö", "prompt": "a\nb", "n": 3, "seed": 4, "width": 64, "height": 64}
    wanted |= {"output_format": "jpeg", "output_quality": 1}
    assert {name: row[name] for name in wanted} == wanted
    _, (row,), _ = converted(tmp_path, file(line()))
    assert row["seed"] is None and row["output_format"] == "png"  # the job derives a seed from the row
    assert row["post_processing"] is None
    _, (row,), _ = converted(tmp_path, file(line(body={"prompt": "a", "post_processing": "denoise, sharpen=1"})))
    assert row["post_processing"] == "denoise, sharpen=1"
