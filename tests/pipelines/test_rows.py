"""A row becomes its requests or a reason why not, and never an exception."""

from __future__ import annotations

import hashlib
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_model.flat_colour import RULES
from imagen_model.generation import PARAMETERS, ErrorCode, Failure, GenerationRequest
from pipelines.columns import ALIASES, map_columns
from pipelines.rows import Defaults, derived_seed, id_text, known_settings, requests_of
from pipelines.text_lines import INVALID

DEFAULTS = Defaults(("flat-colour",), seed=7)


def parse(cells: dict[str, Any], row: int = 0, **defaults: Any) -> list[GenerationRequest] | Failure:
    columns = map_columns(["prompt", *[name for name in cells if name != "prompt"]])
    return requests_of(cells, row, columns, Defaults(("flat-colour",), 7, **defaults), RULES)


def failure(cells: dict[str, Any], **defaults: Any) -> Failure:
    found = parse(cells, **defaults)
    assert isinstance(found, Failure)
    return found


def made(cells: dict[str, Any], **defaults: Any) -> list[GenerationRequest]:
    found = parse(cells, **defaults)
    assert isinstance(found, list), found
    return found


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({"prompt": None}, "empty_prompt"),
        ({"prompt": ""}, "empty_prompt"),
        ({"prompt": " \t\n"}, "empty_prompt"),
        ({"prompt": math.nan}, "empty_prompt"),
        ({"prompt": "x" * 100_000}, "prompt_too_long"),
        ({"prompt": 12}, "invalid_row"),
        ({"prompt": ["a"]}, "invalid_row"),
        ({"prompt": b"\xff"}, "invalid_row"),
        ({"prompt": "bell \x07"}, "invalid_row"),
        ({"prompt": "half \ud800"}, "invalid_row"),
        ({"prompt": "a", "seed": "abc"}, "invalid_parameter"),
        ({"prompt": "a", "seed": -1}, "invalid_parameter"),
        ({"prompt": "a", "seed": 2**32}, "invalid_parameter"),
        ({"prompt": "a", "seed": 12.5}, "invalid_parameter"),
        ({"prompt": "a", "seed": math.inf}, "invalid_parameter"),
        ({"prompt": "a", "seed": True}, "invalid_parameter"),
        ({"prompt": "a", "seed": "9" * 5000}, "invalid_parameter"),
        ({"prompt": "a", "n": 0}, "invalid_parameter"),
        ({"prompt": "a", "n": 101}, "invalid_parameter"),
        ({"prompt": "a", "n": "many"}, "invalid_parameter"),
        ({"prompt": "a", "n": True}, "invalid_parameter"),
        ({"prompt": "a", "guidance_scale": "high"}, "invalid_parameter"),
        ({"prompt": "a", "guidance_scale": "1,5"}, "invalid_parameter"),
        ({"prompt": "a", "guidance_scale": 1e9}, "invalid_parameter"),
        ({"prompt": "a", "steps": 0}, "invalid_parameter"),
        ({"prompt": "a", "steps": 5}, "invalid_parameter"),  # this model has no such parameter
        ({"prompt": "a", "model": "another"}, "invalid_parameter"),
        ({"prompt": "a", "best_of": 2}, "invalid_parameter"),  # nor this one
        ({"prompt": "a", "post_processing": "blur"}, "invalid_parameter"),
        ({"prompt": "a", "post_processing": 3}, "invalid_parameter"),
        ({"prompt": "a", "post_processing": "upscale=63x64"}, "invalid_parameter"),
        ({"prompt": "a", "width": 65, "height": 65}, "invalid_size"),
        ({"prompt": "a", "width": 0}, "invalid_size"),
        ({"prompt": "a", "width": "wide"}, "invalid_size"),
        ({"prompt": "a", "size": "64"}, "invalid_size"),
        ({"prompt": "a", "size": 64}, "invalid_size"),
        ({"prompt": "a", "size": "64x64", "width": 128}, "invalid_size"),
        ({"prompt": "a", "__invalid__": "the line is not JSON"}, "invalid_row"),
    ],
)
def test_refused_rows(cells: dict[str, Any], code: str) -> None:
    found = failure(cells)
    assert found.code == ErrorCode(code)
    assert found.message


def test_a_refusal_names_value_and_limit() -> None:
    message = failure({"prompt": "a", "seed": "abc"}).message
    assert "'abc'" in message and "4294967295" in message and "seed" in message


@pytest.mark.parametrize("value", ["12", 12, 12.0, " 12 ", "12.0", Decimal(12)])
def test_whole_numbers_in_every_dress(value: object) -> None:
    assert made({"prompt": "a", "seed": value})[0].seed == 12


def test_explicit_seed_counts_up_and_wraps() -> None:
    assert [r.seed for r in made({"prompt": "a", "seed": 2**32 - 1, "n": 3})] == [2**32 - 1, 0, 1]


def test_missing_seed_is_the_documented_hash() -> None:
    expected = int.from_bytes(hashlib.sha256(b"7\nrow 5\n1").digest()[:4], "big")
    assert derived_seed(7, None, 5, 1) == expected
    found = parse({"prompt": "a", "n": 2}, row=5)
    assert isinstance(found, list)
    assert found[1].seed == expected


@pytest.mark.parametrize("absent", [None, math.nan, ""])
def test_seed_goes_by_id_where_there_is_one_and_by_row_where_not(absent: object) -> None:
    by_id = {parse({"prompt": "a", "id": "x"}, row=row)[0].seed for row in range(5)}  # type: ignore[index]
    by_row = {parse({"prompt": "a", "id": absent}, row=row)[0].seed for row in range(5)}  # type: ignore[index]
    assert len(by_id) == 1 and len(by_row) == 5
    assert parse({"prompt": "a", "seed": absent}, row=3)[0].seed == derived_seed(7, None, 3, 0)  # type: ignore[index]


def test_a_rows_own_values_win_over_the_jobs() -> None:
    request = made({"prompt": "a", "size": "16x16", "cfg": "2.5"}, parameters={"width": 128, "height": 128})[0]
    assert (request.width, request.height, request.guidance_scale) == (16, 16, 2.5)
    request = made({"prompt": "a", "size": None}, parameters={"width": 128, "height": 128, "guidance_scale": 3.0})[0]
    assert (request.width, request.height, request.guidance_scale) == (128, 128, 3.0)


@pytest.mark.parametrize(("value", "text"), [(12, "12"), (12.0, "12"), ("a/../b", "a/../b"), (b"\xff", "\\xff")])
def test_ids_survive_as_text(value: object, text: str) -> None:
    assert id_text(value) == text


cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=30),
    st.binary(max_size=10),
    st.decimals(),
    st.dates(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@given(
    st.dictionaries(
        st.sampled_from(sorted({*ALIASES, "steps", "cfg"} - {"prompt", "n", "model"})),
        cells,
    ),
    cells,
    cells,
)
def test_whatever_a_row_holds_it_is_requests_or_a_reason(others: dict[str, Any], prompt: Any, count: Any) -> None:
    found = parse({**others, "prompt": prompt, "n": count})
    if isinstance(found, Failure):
        assert found.message and found.code in set(ErrorCode)
    else:
        assert 1 <= len(found) <= 100
        assert len({request.seed for request in found}) == len(found) or "seed" not in others


def known(cells: dict[str, Any], **defaults: Any) -> dict[str, object]:
    columns = map_columns(["prompt", *[name for name in cells if name != "prompt"]])
    return known_settings(cells, 3, columns, Defaults(("flat-colour",), 7, **defaults), RULES)


def test_what_is_known_of_a_refused_row_is_kept() -> None:
    own = {"seed": 5, "width": 64, "height": 64}
    defaults = {name: RULES.defaults.get(name) for name in PARAMETERS}
    assert known({"prompt": "", "seed": "5", "width": 64}) == own | defaults
    # A value that is wrong is not known, and takes no other with it; neither does a size that this model lacks.
    found = known({"prompt": "a", "seed": "x", "size": "63x63", "id": "one"})
    assert (found.get("seed"), found["width"], found["height"]) == (None, 63, 63)
    found = known({"prompt": "a", "seed": 2, "width": -1}, parameters={"height": 64})
    assert found["seed"] == 2 and found.get("width") != -1
    # Without a seed of its own it has the one from which its first picture would have been drawn.
    assert known({"prompt": "", "id": "one"})["seed"] == derived_seed(7, "one", 3, 0)
    assert known({"prompt": "", INVALID: "broken line", "seed": 2}) == {}
