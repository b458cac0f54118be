"""The gallery's rows as scripts of 2,000 each: a page opened from a disk may load scripts, but not fetch files.

Columns are written as a constant, a count, a dictionary or plain values, whichever is shortest; `data.js` reads them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from ..manifest import SUCCESS, Entry, ManifestSchema, safe_text
from ..reporting import FOLDER
from .sprites import BLOCK, Sprite

CHUNKS = f"{FOLDER}data"
CHUNK = 2000  # rows
MOST_TEXT = 1000  # characters kept of a text
EXACT = 2**53  # of JavaScript's numbers
Place = tuple[Sprite, int] | None
ALWAYS = ("row", "id", "image_index", "shard", "prompt", "negative_prompt", "seed", "width", "height")
PARAMETERS = ("num_inference_steps", "guidance_scale", "top_k", "top_p", "temperature", "best_of", "post_processing")
MEASURED = ("error_code", "error_message", "attempts", "format", "bytes", "generation_ms", "worker")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A script: its key in the output, its rows, its text."""

    key: str
    rows: int
    data: bytes


def columns_of(schema: ManifestSchema) -> list[str]:
    """Manifest columns that a report shows: own ones too, but for bytes."""
    fixed = [name for name in (*ALWAYS, *PARAMETERS, *MEASURED) if name in schema.fixed.names]
    return fixed + [name for name in schema.names if not is_binary(schema.full.field(name).type)]


def is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def chunks_of(rows: pa.Table, schema: ManifestSchema, sprites: Mapping[int, Sequence[Sprite]]) -> list[Chunk]:
    """Args:
    rows: manifest rows in order, shard by shard.
    sprites: of each shard; its successes in order are their entries in order.
    """
    found = []
    names = columns_of(schema)
    places = places_of(rows, sprites)
    for index, start in enumerate(range(0, rows.num_rows, CHUNK)):
        part = rows.slice(start, CHUNK)
        columns = {name: packed(cells(part.column(name))) for name in names}
        body = script_json(
            {"rows": part.num_rows, "columns": columns, **thumbnails(places[start : start + part.num_rows])}
        )
        digest = hashlib.sha256(body.encode()).hexdigest()[:12]
        text = f"imagegenChunk({index},{body});\n"
        found.append(Chunk(f"{CHUNKS}/{index:05d}-{digest}.js", part.num_rows, text.encode()))
    return found


def places_of(rows: pa.Table, sprites: Mapping[int, Sequence[Sprite]]) -> list[Place]:
    """Of each row's thumbnail: its sprite and its place in it; None for a failure."""
    waiting = {
        shard: iter([(each, place) for each in of_shard for place in range(len(each.entries))])
        for shard, of_shard in sprites.items()
    }
    pairs = zip(rows.column("shard").to_pylist(), rows.column("status").to_pylist(), strict=True)
    return [next(waiting[shard]) if status == SUCCESS else None for shard, status in pairs]


def thumbnails(places: Sequence[Place]) -> dict[str, Any]:
    """`sprites`: [file, thumbnails down, pixels of a side] each; `tile`: 64 * index into them + place, -1 for none."""
    used = list(dict.fromkeys(place[0] for place in places if place is not None))
    number = {sprite.key: index for index, sprite in enumerate(used)}
    tile = [-1 if place is None else number[place[0].key] * BLOCK + place[1] for place in places]
    return {"sprites": [(each.key.rpartition("/")[2], each.down, each.tile) for each in used], "tile": packed(tile)}


def cells(column: pa.ChunkedArray) -> list[Any]:
    """The values as JSON holds them."""
    if pa.types.is_int32(column.type) or column.null_count == len(column):
        return column.to_pylist()  # type: ignore[no-any-return]
    return [shown(value) for value in column.to_pylist()]


def shown(value: Any) -> Any:
    """A cell as JSON holds it: text cut, numbers that JavaScript cannot hold and everything else as text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= EXACT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | datetime | date | time | Decimal):
        return str(value)[:MOST_TEXT]
    return safe_text(value, MOST_TEXT)


def packed(values: list[Any]) -> dict[str, Any]:
    """One of: `c` a constant, `n` the first of consecutive whole numbers, `d` and `i` a dictionary, `v` the values."""
    distinct = list(dict.fromkeys(map(key_of, values)))
    if len(distinct) == 1:
        return {"c": values[0]}
    first = values[0]
    if isinstance(first, int) and values == list(range(first, first + len(values))):
        return {"n": first}
    if len(distinct) * 2 <= len(values):
        places = {key: index for index, key in enumerate(distinct)}
        return {"d": [key[1] for key in distinct], "i": [places[key_of(value)] for value in values]}
    return {"v": values}


def key_of(value: Any) -> tuple[type, Any]:
    """1, 1.0 and True are equal to Python."""
    return type(value), value


def script_json(value: Any) -> str:
    """JSON that may stand in a script, in a file or in the page: nothing in it ends the script or a line of it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def successes_by_shard(rows: pa.Table) -> dict[int, list[Entry]]:
    """What `sprites_of` and the output formats need of the successes, in order."""
    columns = ["shard", "row", "image_index", "file_name", "member", "sha256", "width", "height", "status"]
    found: dict[int, list[Entry]] = {}
    for entry in rows.select(columns).to_pylist():
        of_shard = found.setdefault(entry["shard"], [])
        if entry["status"] == SUCCESS:
            of_shard.append(entry)
    return found
