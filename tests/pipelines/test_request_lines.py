"""OpenAI's batch files and A1111's prompt lines are prompt tables; what a line asks for in vain is said in its row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import entries, images, job
from test_tables import column, read

from pipelines.progress import Summary
from pipelines.text_lines import INVALID

URL = "/v1/images/generations"


def request(custom_id: object, **body: Any) -> str:
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": URL, "body": body})


def given(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row's own values, without those of the pipeline."""
    return [{key: value for key, value in row.items() if value is not None and key[0] != "_"} for row in rows]


def problems(path: Path, tmp_path: Path, input_format: str | None = None) -> list[str | None]:
    return column(read(path, tmp_path, input_format=input_format), INVALID)


def test_a_batch_file_is_a_table_of_what_its_requests_give(tmp_path: Path) -> None:
    path = tmp_path / "batch.jsonl"
    first = request("a", prompt="one", n=2, seed=4, size="64x64", guidance_scale=2, user="u", quality="auto")
    path.write_text("\n".join([first, "", request("b", prompt="two", size="auto", output_format="jpeg")]))
    assert given(read(path, tmp_path)) == [
        {"id": "a", "prompt": "one", "n": 2, "seed": 4, "size": "64x64", "guidance_scale": 2.0},
        {},
        {"id": "b", "prompt": "two", "output_format": "jpeg"},
    ]


@pytest.mark.parametrize(
    ("line", "id_kept", "reason"),
    [
        (request("x", prompt="a", colour="red"), True, "'colour' is not known"),
        (request("x", prompt="a", seed=-1), True, "seed"),
        (request("x", prompt="a", num_inference_steps=10**30), True, "num_inference_steps"),
        (request("x", prompt="a", guidance_scale=10**400), True, "guidance_scale"),
        (request("x", prompt="a \ud800"), True, "surrogate"),
        (request("x", prompt="a", stream=True), True, "stream"),
        (request("x", prompt="a", response_format="url"), True, "response_format"),
        (request("x", prompt="a", output_compression=5), True, "output_compression"),
        (request("x"), True, "prompt"),
        (request("", prompt="a"), False, "custom_id"),
        (request("x", prompt="a").replace("POST", "GET"), False, "method must be POST"),
        (request("x", prompt="a").replace("images", "audio"), False, "url must be"),
        ("{oops", False, "not JSON"),
        ("[1]", False, "JSON list"),
    ],
)
def test_a_batch_line_that_no_server_would_take_stays_a_row(
    tmp_path: Path, line: str, id_kept: bool, reason: str
) -> None:
    (tmp_path / "batch.jsonl").write_text("\n".join([request("first", prompt="a"), line, request("b", prompt="c")]))
    rows = read(tmp_path / "batch.jsonl", tmp_path)
    assert [reason in (row[INVALID] or "") for row in rows] == [False, True, False]
    assert rows[1].get("id") == ("x" if id_kept else None)


def test_a_jsonl_table_with_other_keys_is_no_batch(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "url": "http://x", "body": {"b": 1}}\n')
    assert given(read(tmp_path / "a.jsonl", tmp_path)) == [{"prompt": "a", "url": "http://x", "body": '{"b": 1}'}]


A1111 = """\
--prompt "a red circle" --negative_prompt "blue, ugly" --steps 20 --cfg_scale 7.5 --seed 1 --width 64
--prompt words without quotes --seed -1 --batch_size 2 --n_iter 3

a plain prompt --with dashes
--width 64 --height 32 --prompt x --outpath_samples here --tiling false
"""


def test_a1111_lines_are_told_by_the_first_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(A1111)
    assert given(read(tmp_path / "a.txt", tmp_path)) == [
        {
            "prompt": "a red circle",
            "negative_prompt": "blue, ugly",
            "num_inference_steps": "20",
            "guidance_scale": "7.5",
            "seed": "1",
            "width": "64",
        },
        {"prompt": "words without quotes", "n": "6"},
        {"prompt": ""},
        {"prompt": "a plain prompt --with dashes"},
        {"prompt": "x", "width": "64", "height": "32"},
    ]


def test_text_is_read_as_it_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("plain\n--prompt x\n")
    assert column(read(tmp_path / "a.txt", tmp_path)) == ["plain", "--prompt x"]
    assert column(read(tmp_path / "a.txt", tmp_path, input_format="a1111")) == ["plain", "x"]
    (tmp_path / "b.txt").write_text("--prompt x\n")
    assert column(read(tmp_path / "b.txt", tmp_path)) == ["x"]
    assert column(read(tmp_path / "b.txt", tmp_path, input_format="text")) == ["--prompt x"]


def test_a_run_that_read_the_lines_as_plain_prompts_goes_on_so(tmp_path: Path) -> None:
    """Runs from before A1111's lines were known hold their table as it was converted then."""
    (tmp_path / "a.txt").write_text("--prompt x\n")
    read(tmp_path / "a.txt", tmp_path, input_format="text")
    assert column(read(tmp_path / "a.txt", tmp_path)) == ["--prompt x"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('--prompt x --sampler_name "Euler a"', "--sampler_name is not offered"),
        ("--prompt x --tiling true", "--tiling true is not offered"),
        ("--prompt x --subseed_strength 0.5", "--subseed_strength"),
        ("--prompt it's", "quotation marks"),
        ("--prompt x --seed", "--seed has no value"),
        ("--seed 1 stray", "'stray' belongs to no option"),
        ("--prompt x --n_iter 0", "--n_iter must be"),
        ("--", "has no value"),
    ],
)
def test_an_option_that_means_nothing_here_is_named(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "a.txt").write_text(f"--prompt first\n{line}\nlast\n")
    assert [reason in (found or "") for found in problems(tmp_path / "a.txt", tmp_path)] == [False, True, False]


def test_both_make_pictures_and_their_bad_lines_are_failed_rows(tmp_path: Path, inline: Callable[..., Summary]) -> None:
    (tmp_path / "a.txt").write_text("--prompt 'a red circle' --seed 5\n--prompt x --styles y\n--prompt x --seed z\n")
    (tmp_path / "b.jsonl").write_text("\n".join([request("k", prompt="a red circle", seed=5), request("l", seed=1)]))
    inline(job(str(tmp_path / "a.txt"), tmp_path / "a"))
    inline(job(str(tmp_path / "b.jsonl"), tmp_path / "b"))
    assert [entry["error_code"] for entry in entries(tmp_path / "a")] == [None, "invalid_row", "invalid_parameter"]
    assert [(entry["id"], entry["error_code"]) for entry in entries(tmp_path / "b")] == [
        ("k", None),
        ("l", "invalid_row"),
    ]
    assert list(images(tmp_path / "a").values()) == list(images(tmp_path / "b").values())
