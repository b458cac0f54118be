"""What one shard asks for: an item for each image to be made, and an entry at once for each row that is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from imagen_model.generation import PARAMETERS, ErrorCode, Failure, GenerationRequest, RequestRules

from .columns import ColumnMap
from .grey_images import told_name
from .manifest import FAILED, FILTERED, MAX_MESSAGE, Entry, ManifestSchema, now, safe_text
from .plan import Settings
from .rows import Defaults, id_text, known_settings, requests_of
from .shard_reader import ROW


@dataclass(frozen=True, slots=True)
class Item:
    """One image to be made. `passed` holds the row's own columns for the manifest."""

    row: int
    row_id: str | None
    image_index: int
    request: GenerationRequest
    passed: Entry
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """How rows become items and entries; the same for every shard of a run, and small enough to send around.

    Args:
        settings: of the plan.
        columns: the table's parts.
        defaults: for rows that leave something out.
        rules: what the model takes.
        schema: of the manifest.
        output_format: a name of `formats.OUTPUT_FORMATS`.
        folder: path or URL of the prompt table's folder.
    """

    settings: Settings
    columns: ColumnMap
    defaults: Defaults
    rules: RequestRules
    schema: ManifestSchema
    fingerprint: str
    output_format: str
    folder: str = "."


def items_of(table: pa.Table, shard: int, recipe: Recipe, worker: str) -> tuple[list[Item], list[Entry]]:
    """The items of a shard's rows in order, and the entries of the rows that are refused."""
    items: list[Item] = []
    refused: list[Entry] = []
    for row, cells in rows_of(table):
        found = requests_of(cells, row, recipe.columns, recipe.defaults, recipe.rules, recipe.folder)
        row_id = id_text(cells.get(recipe.columns.parts.get("id", "")))
        passed = recipe.schema.passed_values(cells)
        if "grey_image" in recipe.columns.parts:
            passed["grey_image"] = told_name(cells.get(recipe.columns.parts["grey_image"]))
        if isinstance(found, Failure):
            refused.append(refusal(row, row_id, shard, cells, passed, found, recipe, worker))
        else:
            items += [Item(row, row_id, index, request, passed) for index, request in enumerate(found)]
    return items, refused


def rows_of(table: pa.Table) -> Iterator[tuple[int, dict[str, Any]]]:
    names = table.column_names
    values = [column_values(table.column(name)) for name in names]
    numbers = values[names.index(ROW)]
    for number, *cells in zip(numbers, *values, strict=True):
        yield number, dict(zip(names, cells, strict=True))


def column_values(column: pa.ChunkedArray) -> list[Any]:
    """The values; one that is marked as text but is not UTF-8 becomes bytes, which its row is refused for."""
    try:
        values: list[Any] = column.to_pylist()
        return values
    except UnicodeDecodeError:
        raw = column.cast(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary())
        return [text_or_bytes(value) for value in raw.to_pylist()]


def text_or_bytes(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def base_entry(row: int, row_id: str | None, image_index: int, shard: int, recipe: Recipe, worker: str) -> Entry:
    return {
        "row": row,
        "id": row_id,
        "image_index": image_index,
        "shard": shard,
        "model": recipe.settings.model,
        "model_revision": recipe.settings.model_revision,
        "config_fingerprint": recipe.fingerprint,
        "attempts": 1,
        "worker": worker,
        "created_at": now(),
    }


def item_entry(item: Item, shard: int, recipe: Recipe, worker: str) -> Entry:
    """All that is known before the image is made."""
    request = item.request
    entry = base_entry(item.row, item.row_id, item.image_index, shard, recipe, worker)
    entry |= {name: getattr(request, name) for name in ("prompt", "negative_prompt", "seed", "width", "height")}
    entry |= {name: getattr(request, name) for name in (*PARAMETERS, "post_processing")}
    entry |= {"generated_width": request.width, "generated_height": request.height}
    if request.grey is not None:
        entry["grey_image_sha256"] = request.grey.sha256
    return entry | item.passed | {"attempts": item.attempts}


def failed_entry(entry: Entry, code: ErrorCode, message: str) -> Entry:
    status = FILTERED if code == ErrorCode.CONTENT_FILTERED else FAILED
    failure = {"status": status, "error_code": str(code), "error_message": safe_text(message, MAX_MESSAGE)}
    return entry | failure


def refusal(
    row: int,
    row_id: str | None,
    shard: int,
    cells: Mapping[str, Any],
    passed: Entry,
    failure: Failure,
    recipe: Recipe,
    worker: str,
) -> Entry:
    """One entry for a row that never became a request, with what is sure of it. Its text is kept in a form that any
    reader can hold."""
    parts = recipe.columns.parts
    entry = base_entry(row, safe_text(row_id), 0, shard, recipe, worker)
    entry["prompt"] = safe_text(cells.get(parts["prompt"]))
    entry["negative_prompt"] = safe_text(cells.get(parts.get("negative_prompt", "")))
    entry |= known_settings(cells, row, recipe.columns, recipe.defaults, recipe.rules)
    return failed_entry(entry | passed, failure.code, failure.message)


def storable_passed(entries: Sequence[Entry], schema: ManifestSchema) -> list[Entry]:
    """Own columns that hold bytes where text was promised, made text; only such rows are touched."""
    texts = [name for name, field in zip(schema.names, schema.passed, strict=True) if pa.types.is_string(field.type)]
    return [
        entry | {name: safe_text(entry[name]) for name in texts if isinstance(entry.get(name), bytes)}
        for entry in entries
    ]
