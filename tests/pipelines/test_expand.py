"""Templates become prompt tables: dynamicprompts' syntax, choices from the seed, broken templates by their line."""

from __future__ import annotations

import io
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import cli
from pipelines.errors import InvalidJob, TableError
from pipelines.expanding import Expanded, ExpansionJob, expand
from pipelines.storage import open_store
from pipelines.templates import BadTemplate, Expander

TEMPLATES = "# colours\na {red|blue} ball\n\n${n=!{two|three}} __animal__, ${n}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "w/pets").mkdir(parents=True)
    (tmp_path / "w/animal.txt").write_text("cat\n# none\ndog\n")
    (tmp_path / "w/pets/small.yaml").write_text("rodent: [mouse, {text: rat, weight: 0.25}]\n")
    (tmp_path / "w/self.txt").write_text("__self__\n")
    (tmp_path / "t.txt").write_text(TEMPLATES)
    return tmp_path


def rows(folder: Path, templates: str = "t.txt", **asked: Any) -> tuple[Expanded, list[dict[str, Any]]]:
    output = folder / "out.parquet"
    settings = {"max_rows": 100, "wildcards": str(folder / "w"), "overwrite": True} | asked
    made = expand(ExpansionJob(str(folder / templates), str(output), **settings))
    return made, pq.read_table(output).to_pylist()


def prompts(folder: Path, **asked: Any) -> list[str]:
    return [row["prompt"] for row in rows(folder, **asked)[1]]


def test_every_combination_once_with_the_template_that_it_comes_from(folder: Path) -> None:
    made, found = rows(folder)
    assert (made.templates, made.rows, made.cut) == (2, 4, None)
    assert [(row["prompt"], row["template_number"], row["variant"]) for row in found[:2]] == [
        ("a red ball", 2, 0),
        ("a blue ball", 2, 1),
    ]
    assert found[0]["template"] == "a {red|blue} ball"
    assert [row["prompt"].split(",")[0] for row in found[2:]] == ["cat", "dog"]
    assert {row["template_number"] for row in found[2:]} == {4}


def test_the_same_templates_seed_and_limits_give_the_same_bytes(folder: Path) -> None:
    asked: dict[str, Any] = {"mode": "random", "max_rows": 50}
    rows(folder, **asked)
    first = (folder / "out.parquet").read_bytes()
    made, _ = rows(folder, **asked)
    assert not made.written and (folder / "out.parquet").read_bytes() == first
    rows(folder, **asked, seed=1)
    assert (folder / "out.parquet").read_bytes() != first


def test_random_prompts_do_not_change_with_how_many_are_wanted_or_with_other_templates(folder: Path) -> None:
    few = prompts(folder, mode="random", per_template=5)
    many = rows(folder, mode="random", per_template=30)[1]
    assert few == [row["prompt"] for row in many if row["variant"] < 5]
    assert len(set(few)) > 2  # the variable is drawn anew for each prompt
    (folder / "t.txt").write_text("a new one\n" + TEMPLATES)
    assert prompts(folder, mode="random", per_template=5)[5:] == few


def test_random_rows_are_shared_evenly_and_weights_count(folder: Path) -> None:
    (folder / "t.txt").write_text("{9::a|b}\n{c|d}\n{e|f}\n")
    found = rows(folder, mode="random", max_rows=301)[1]
    assert [sum(row["template_number"] == n for row in found) for n in (1, 2, 3)] == [101, 100, 100]
    assert 80 <= sum(row["prompt"] == "a" for row in found) <= 100


def test_combinations_name_values_of_any_weight_once(folder: Path) -> None:
    (folder / "t.txt").write_text("__rodent__\n__animal*__ {@x|y}\n")
    assert prompts(folder, per_template=2)[:2] == ["mouse", "rat"]


def test_cycling_choices_go_on(folder: Path) -> None:
    (folder / "t.txt").write_text("{@a|b|c}\n")
    assert prompts(folder, mode="random", max_rows=5) == ["a", "b", "c", "a", "b"]


def test_the_limit_says_where_it_cut(folder: Path) -> None:
    assert rows(folder, max_rows=1)[0].cut == 2
    assert rows(folder, max_rows=2)[0].cut == 4
    assert rows(folder, max_rows=4)[0].cut is None
    (folder / "t.txt").write_text("{1|2|3|4|5|6|7|8|9}" * 12)  # 282,429,536,481 combinations
    assert rows(folder, max_rows=3)[0].rows == 3


def test_other_columns_are_repeated_and_ids_stay_one_a_row(folder: Path) -> None:
    columns = {"template": ["{a|b}", "c"], "id": [7, None], "variant": ["x", "y"], "negative_prompt": ["n", None]}
    pq.write_table(pa.table(columns), folder / "t.parquet")
    _, found = rows(folder, "t.parquet")
    assert [(row["id"], row["input_variant"], row["negative_prompt"]) for row in found] == [
        ("7-0", "x", "n"),
        ("7-1", "x", "n"),
        (None, "y", None),
    ]


def test_options_beside_a_template_become_columns(folder: Path) -> None:
    (folder / "t.txt").write_text('--prompt "a {red|blue} ball" --steps 20\n')
    assert [(row["prompt"], row["num_inference_steps"]) for row in rows(folder)[1]] == [
        ("a red ball", "20"),
        ("a blue ball", "20"),
    ]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{a|b", "1 opening and 0 closing braces"),
        ("a|b}", "0 opening and 1 closing braces"),
        ("50% off", "from character 3 on: '% off'"),
        ("${x}", "Variable x is not defined"),
        ("${x=${x}} ${x}", "stands for itself"),
        ("__self__", "stands for itself"),
        ("__nobody__", "no value for the wildcard '__nobody__'"),
        ("__../t__", "no value for the wildcard"),
        ("{" * 3000 + "}" * 3000, "nested too deeply"),
    ],
)
@pytest.mark.parametrize("mode", ["combinatorial", "random"])
def test_a_broken_template_is_named_with_its_line(folder: Path, template: str, reason: str, mode: str) -> None:
    (folder / "t.txt").write_text(f"# first\ngood\n{template}\n{{again\n")
    with pytest.raises(TableError) as refusal:
        rows(folder, mode=mode)
    first, second = str(refusal.value).splitlines()
    assert first.startswith("t.txt, line 3: ") and reason in first
    assert second.startswith("t.txt, line 4: ")
    assert not (folder / "out.parquet").exists()


@given(st.text(alphabet="{}|$_:!=~@ab%#()12/.,- ", max_size=40), st.sampled_from(["combinatorial", "random"]))
@settings(max_examples=60, deadline=None)
def test_no_template_ends_in_anything_but_prompts_or_a_reason(template: str, mode: str) -> None:
    expander = Expander(mode, 0, None)
    try:
        found = list(islice(expander.prompts(template), 3))
    except BadTemplate:
        return
    assert found == list(islice(expander.prompts(template), 3))


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"max_rows": 0}, "max_rows"),
        ({"mode": "all"}, "mode must be"),
        ({"wildcards": "/nowhere"}, "/nowhere is no folder"),
        ({"overwrite": False}, "other content"),
    ],
)
def test_what_cannot_be_is_refused(folder: Path, asked: dict[str, Any], reason: str) -> None:
    (folder / "out.parquet").write_bytes(b"other")
    with pytest.raises(InvalidJob, match=reason):
        rows(folder, **asked)


def test_without_the_library_the_error_says_how_to_install_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dynamicprompts.wildcards", None)
    with pytest.raises(InvalidJob, match=r"pip install '\.\[expand\]'"):
        rows(folder)


def test_the_command_reads_standard_input_and_writes_to_a_url(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a {red|blue} ball\n")))
    cli.app(["expand", "-", "memory://expand/p.parquet", "--max-rows", "1"], standalone_mode=False)
    said = capsys.readouterr()
    assert "1 prompts of 1 templates" in said.out and "template 1 has more" in said.err
    written = io.BytesIO(open_store("memory://expand").read("p.parquet"))
    assert pq.read_table(written).column("prompt").to_pylist() == ["a red ball"]
