"""Whatever format a table has, its rows arrive once each; what is no table is refused before anything starts."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import errors
from pipelines.columns import doubtful, map_columns
from pipelines.prompt_table import open_table
from pipelines.shard_reader import Piece, Shard, read_shard
from pipelines.storage import open_store
from pipelines.table_files import TableFiles
from pipelines.text_tables import INVALID


def read(prompts: str | Path, output: Path, prompt_column: str | None = None, input_format: str | None = None) -> Any:
    table = open_table(TableFiles(str(prompts), input_format), prompt_column, open_store(str(output / "out")))
    pieces = tuple(Piece(file.url, 0, file.rows) for file in table.files)
    return read_shard(Shard(0, 0, table.rows, pieces), table.schema).to_pylist()


def column(rows: list[dict[str, Any]], name: str = "prompt") -> list[Any]:
    return [row[name] for row in rows]


@pytest.mark.parametrize(
    ("name", "content", "prompts"),
    [
        ("a.txt", b"one\ntwo\n", ["one", "two"]),
        ("a.txt", b"one\n\ntwo", ["one", "", "two"]),
        ("a.txt", b"\xef\xbb\xbfone\r\ntwo\r\n", ["one", "two"]),
        ("a.csv", b'prompt,id\n"a, b",1\n"two\nlines",2\n', ["a, b", "two\nlines"]),
        ("a.csv", b"\xef\xbb\xbfPrompt\na\n", ["a"]),
        ("a.tsv", b'Prompt\tNote\na "quoted\tx\nb"\ty\n', ['a "quoted', 'b"']),
        ("a.jsonl", b'{"text": "a"}\n{"text": "b", "seed": 3}\n', ["a", "b"]),
    ],
)
def test_text_formats(tmp_path: Path, name: str, content: bytes, prompts: list[str]) -> None:
    (tmp_path / name).write_bytes(content)
    rows = read(tmp_path / name, tmp_path)
    key = next(key for key in rows[0] if key.lower() in {"prompt", "text"})
    assert column(rows, key) == prompts
    assert column(rows, INVALID) == [None] * len(prompts)


@pytest.mark.parametrize(
    ("name", "content", "reasons"),
    [
        ("a.txt", b"ok\nbad \xff\nok\n", [None, "not UTF-8", None]),
        ("a.csv", b"prompt,id\na,1\nb\nc,1,2\nd,4\n", [None, "1 fields", "3 fields", None]),
        ("a.csv", b"prompt,id\na,1\nbad \xff,2\nc,3\n", [None, "not UTF-8", None]),
        ("a.tsv", b"prompt\tid\na\t1\nb\n", [None, "1 fields"]),
        ("a.jsonl", b'{"prompt": "a"}\n{oops\n[1]\n{"prompt": 5}\n', [None, "not JSON", "JSON list", "text, got int"]),
        ("a.jsonl", b'{"prompt": "a\\ud800"}\n' + b"[" * 100_000 + b"\n", ["surrogate", "not JSON"]),
    ],
)
def test_lines_that_cannot_be_read_stay_rows(
    tmp_path: Path, name: str, content: bytes, reasons: list[str | None]
) -> None:
    (tmp_path / name).write_bytes(content)
    found = column(read(tmp_path / name, tmp_path), INVALID)
    assert len(found) == len(reasons)
    for reason, expected in zip(found, reasons, strict=True):
        assert (reason is None) if expected is None else (expected in reason)


COCO = {
    "images": [{"id": 9, "file_name": "000000000009.jpg"}, {"id": 7}],
    "annotations": [
        {"id": 1, "image_id": 9, "caption": " A red apple. \n"},
        {"id": 2, "image_id": 7, "caption": "no picture"},
        {"id": 3, "image_id": 9},
        "no annotation",
    ],
}


def test_coco_captions_are_rows_in_the_files_order(tmp_path: Path) -> None:
    (tmp_path / "captions.json").write_text(json.dumps(COCO))
    rows = read(tmp_path / "captions.json", tmp_path)
    assert column(rows) == ["A red apple.", "no picture", None, None]
    assert column(rows, "id") == ["1", "2", "3", "3"]
    assert column(rows, "image") == ["000000000009.jpg", None, "000000000009.jpg", None]
    problems = column(rows, INVALID)
    assert problems[:2] == [None, None] and "no caption" in problems[2] and "not an object" in problems[3]


@pytest.mark.parametrize("content", [b"{", b"[1]", b'{"annotations": 3}', b"\xff"])
def test_json_that_is_no_coco_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(errors.TableError, match=r"a\.json: .*COCO"):
        read(tmp_path / "a.json", tmp_path)


def test_conceptual_captions_have_no_header_and_no_quoting(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_bytes(b'a "man\thttp://a/1.jpg\r\nno url\nbad \xff\tx\n' + "日落\thttp://b".encode())
    rows = read(tmp_path / "train.tsv", tmp_path, input_format="conceptual-captions")
    assert column(rows) == ['a "man', None, None, "日落"]
    assert column(rows, "image") == ["http://a/1.jpg", None, None, "http://b"]
    assert column(rows, "id") == ["1", "2", "3", "4"]
    assert [bool(problem) for problem in column(rows, INVALID)] == [False, True, True, False]


def test_a_json_file_beside_tables_in_a_folder_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.txt").write_text("one\n")
    (tmp_path / "tables" / "config.json").write_text("{}")
    assert column(read(tmp_path / "tables", tmp_path)) == ["one"]


def test_an_unclosed_quote_does_not_swallow_the_file(tmp_path: Path) -> None:
    lines = b"".join(b"row %d\n" % index for index in range(700_000))
    (tmp_path / "a.csv").write_bytes(b'prompt\n"never closed\n' + lines)
    reasons = [reason for reason in column(read(tmp_path / "a.csv", tmp_path), INVALID) if reason]
    assert reasons and "not CSV" in reasons[0]


def test_json_values_keep_their_types_where_they_agree(tmp_path: Path) -> None:
    lines = [
        {"prompt": "a", "seed": 1, "w": 1.5, "mixed": 1, "ok": True},
        {"prompt": "b", "seed": 2**60, "w": 2, "mixed": {"x": [1]}, "ok": None},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    rows = read(tmp_path / "a.jsonl", tmp_path)
    assert column(rows, "seed") == ["1", str(2**60)]  # one of them is too large for a number
    assert column(rows, "w") == [1.5, 2.0]
    assert column(rows, "mixed") == ["1", '{"x": [1]}']
    assert column(rows, "ok") == [True, None]


def test_conversion_happens_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    read(tmp_path / "a.txt", tmp_path)
    converted = list((tmp_path / "out/.run/table").iterdir())
    stamp = converted[0].stat().st_mtime_ns
    read(tmp_path / "a.txt", tmp_path)
    assert [path.stat().st_mtime_ns for path in (tmp_path / "out/.run/table").iterdir()] == [stamp]


def test_folder_and_glob_are_read_in_order_of_names(table: Callable[..., str], tmp_path: Path) -> None:
    table({"prompt": ["b"]}, "t/b.parquet")
    table({"prompt": ["a"], "id": ["1"]}, "t/a.parquet")
    table({"prompt": ["hidden"]}, "t/_temporary/0.parquet")
    (tmp_path / "t/_SUCCESS").write_text("")
    assert column(read(tmp_path / "t", tmp_path)) == ["a", "b"]
    assert column(read(tmp_path / "t", tmp_path), "id") == ["1", None]
    assert column(read(str(tmp_path / "t/[ab].parquet"), tmp_path)) == ["a", "b"]


def test_types_are_widened_between_files(table: Callable[..., str], tmp_path: Path) -> None:
    table({"prompt": pa.array(["a"], pa.string()), "seed": pa.array([1], pa.int32())}, "t/a.parquet")
    table({"prompt": pa.array(["b"], pa.large_string()), "seed": pa.array([2], pa.int64())}, "t/b.parquet")
    assert column(read(tmp_path / "t", tmp_path), "seed") == [1, 2]


def test_types_that_do_not_fit_name_both_files(table: Callable[..., str], tmp_path: Path) -> None:
    table({"prompt": ["a"], "seed": [1]}, "t/a.parquet")
    table({"prompt": ["b"], "seed": ["x"]}, "t/b.parquet")
    with pytest.raises(errors.SchemaConflict, match=r"seed.*a\.parquet.*b\.parquet"):
        read(tmp_path / "t", tmp_path)


def test_missing_prompt_column_lists_what_there_is(table: Callable[..., str], tmp_path: Path) -> None:
    path = table({"words": ["a"], "kind": ["b"]})
    with pytest.raises(errors.NoPromptColumn, match=r"caption.*'words', 'kind'"):
        read(path, tmp_path)
    with pytest.raises(errors.NoPromptColumn, match=r"'wrong'.*'words', 'kind'"):
        read(path, tmp_path, prompt_column="wrong")
    assert column(read(path, tmp_path, prompt_column="words"), "words") == ["a"]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.parquet", b"", errors.UnreadableTable),
        ("a.parquet", b"hello, this is no Parquet file", errors.UnreadableTable),
        ("a.parquet", b"PAR1" + b"\xff" * 40 + b"\x20\x00\x00\x00PAR1", errors.UnreadableTable),
        ("a.txt", b"", errors.EmptyTable),
        ("a.csv", b"", errors.EmptyTable),
        ("a.csv", b"prompt\n", errors.EmptyTable),
        ("a.csv", b"words\na\n", errors.NoPromptColumn),
        ("a.csv", b"prompt,prompt\na,b\n", errors.TableError),
        ("a.txt", "hällo".encode("utf-16"), errors.TableError),
        ("a.weird", b"x", errors.TableError),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, content: bytes, kind: type[Exception]) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kind, match=r"a\.\w+") as caught:
        read(tmp_path / name, tmp_path)
    assert len(str(caught.value)) < 1000


def test_a_truncated_parquet_file_is_named(table: Callable[..., str], tmp_path: Path) -> None:
    path = Path(table({"prompt": ["a"] * 1000}, "t/whole.parquet"))
    (tmp_path / "t/cut.parquet").write_bytes(path.read_bytes()[:-20])
    with pytest.raises(errors.UnreadableTable, match=r"cut\.parquet"):
        read(tmp_path / "t", tmp_path)


def test_an_empty_table_is_refused(table: Callable[..., str], tmp_path: Path) -> None:
    path = table({"prompt": pa.array([], pa.string())})
    with pytest.raises(errors.EmptyTable):
        read(path, tmp_path)


def test_no_files_and_mixed_formats(tmp_path: Path) -> None:
    with pytest.raises(errors.NoFilesMatch, match="nothing-here"):
        TableFiles(str(tmp_path / "nothing-here*.parquet"))
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "b.txt").write_text("x")
    with pytest.raises(errors.TableError, match="mixes formats"):
        TableFiles(str(tmp_path))
    with pytest.raises(errors.InvalidJob, match="xlsx"):
        TableFiles(str(tmp_path), "xlsx")


def test_a_folder_that_may_not_be_listed_is_refused_and_not_taken_for_an_empty_one() -> None:
    with tempfile.TemporaryDirectory() as root:
        inner = Path(root, "table", "inner")
        inner.mkdir(parents=True)
        (inner / "a.csv").write_text("prompt\nx\n")
        Path(root).chmod(0o755)
        inner.chmod(0o300)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)  # root may list every folder
            for place in (inner.parent, inner):
                with pytest.raises(errors.UnreadableTable, match="grant permission to read it"):
                    TableFiles(str(place))
        finally:
            os.seteuid(user)
            inner.chmod(0o700)


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_csv_of_a_spreadsheet_with_other_delimiters(tmp_path: Path, mark: str) -> None:
    (tmp_path / "a.csv").write_text(f'prompt{mark}seed\n"a, b{mark} c"{mark}7\n')
    (row,) = read(tmp_path / "a.csv", tmp_path)
    assert (row["prompt"], row["seed"]) == (f"a, b{mark} c", "7")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_table_without_read_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"prompt": ["a"]}), path)
    path.chmod(0)
    with pytest.raises(errors.UnreadableTable):
        read(path, tmp_path)


@pytest.mark.parametrize("alias", ["prompt", "TEXT", "caption", "Prompt"])
def test_prompt_aliases(alias: str) -> None:
    assert map_columns(["other", alias]).parts["prompt"] == alias


def test_column_parts_and_what_passes_through() -> None:
    found = map_columns(["Prompt", "text", "custom_id", "CFG", "Category"])
    assert found.parts == {"prompt": "Prompt", "id": "custom_id", "guidance_scale": "CFG"}
    assert found.others == ("text", "Category")


@pytest.mark.parametrize("group", [7, 64, 1000])
def test_a_shard_is_exactly_its_rows(table: Callable[..., str], tmp_path: Path, group: int) -> None:
    table({"prompt": [f"a{i}" for i in range(300)], "x": list(range(300))}, "t/a.parquet", row_group_size=group)
    table({"prompt": [f"b{i}" for i in range(50)], "x": list(range(300, 350))}, "t/b.parquet", row_group_size=group)
    opened = open_table(TableFiles(str(tmp_path / "t")), None, open_store(str(tmp_path / "out")))
    first, second = opened.files
    shard = Shard(3, 290, 340, (Piece(first.url, 290, 10), Piece(second.url, 0, 40)))
    found = read_shard(shard, opened.schema).to_pylist()
    assert [row["x"] for row in found] == list(range(290, 340))
    assert [row["__row__"] for row in found] == list(range(290, 340))
    assert {row["__shard__"] for row in found} == {3}


def test_only_the_row_groups_needed_are_read(table: Callable[..., str], tmp_path: Path) -> None:
    path = table({"prompt": [f"row {i} " + "x" * 200 for i in range(10_000)]}, row_group_size=100, compression="none")
    damaged = bytearray(Path(path).read_bytes())
    group = pq.read_metadata(path).row_group(50).column(0)
    start = group.dictionary_page_offset or group.data_page_offset
    damaged[start : start + group.total_compressed_size] = b"\xff" * group.total_compressed_size
    Path(path).write_bytes(damaged)
    schema = pa.schema([("prompt", pa.string())])
    for start in (200, 9000):
        assert read_shard(Shard(0, start, start + 10, (Piece(path, start, 10),)), schema).num_rows == 10
    with pytest.raises(errors.UnreadableTable, match=r"prompts\.parquet"):
        read_shard(Shard(0, 5000, 5010, (Piece(path, 5000, 10),)), schema)


def test_a_column_that_is_nearly_a_part_is_doubtful() -> None:
    columns = map_columns(["Prompt", "Guidance", "negative prompt", "seed", "seeds", "style", "note", "category"])
    assert doubtful(columns) == [("Guidance", "guidance_scale"), ("negative prompt", "negative_prompt")]
