"""What a Ray worker runs to caption: one shard of pictures in, one Parquet file of captions and one small record out.

The file is the shard's commit: it appears whole, with every picture in it, those included that could not be read.
"""

from __future__ import annotations

import hashlib
import io
import os
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from imagen_model.generation import ErrorCode

from .formats import output_format
from .formats.layout import Picture, successes
from .manifest import FAILED, MAX_MESSAGE, SUCCESS, manifest_bytes, safe_text
from .shard_reader import SHARD
from .stage import Record, describe
from .storage import open_store

if TYPE_CHECKING:
    from imagen_model.captioner_source import CaptionerSource

CAPTIONS = "captions"
INVALID_IMAGE = ErrorCode.INVALID_IMAGE.value
SCHEMA = pa.schema(
    [
        ("file_name", pa.string()),  # the object that holds the picture, relative to the folder of pictures
        ("member", pa.string()),  # the picture's name inside it, where that is an archive
        ("text", pa.string()),
        ("status", pa.string()),
        ("error_code", pa.string()),
        ("error_message", pa.string()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),  # of the picture as it was read
    ]
)
Row = dict[str, Any]


def captions_key(shard: int) -> str:
    return f"{CAPTIONS}/{shard:05d}.parquet"


@dataclass(frozen=True, slots=True)
class CaptionConfig:
    """What every worker of a captioning run is given: where pictures lie, in which format, where captions go."""

    root: str
    layout: str
    output: str
    batch_size: int
    device: str


class CaptionStage:
    """Called with one shard's rows; never raises: see `Record.fatal`."""

    def __init__(self, source: CaptionerSource, config: CaptionConfig) -> None:
        self.config, self.worker = config, f"{socket.gethostname()}:{os.getpid()}"
        self.fatal: tuple[str, str] | None = None
        self.first_at = self.begun_at = 0.0
        # Ray calls from two threads, so that a shard is read while another's captions are made.
        self.model_thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        try:
            self.pictures = open_store(config.root, answered=True)
            self.layout = output_format(config.layout)
            self.store = open_store(config.output, answered=True)
            self.captioner = self.model_thread.submit(source.load, config.batch_size, config.device).result()
        except Exception as error:
            self.fatal = describe(error, "a worker could not start")

    def __call__(self, table: pa.Table) -> pa.Table:
        record = Record(table.column(SHARD)[0].as_py(), worker=self.worker)
        try:
            if self.fatal is not None:
                record.fatal_kind, record.fatal = self.fatal
            else:
                self.run_shard(table, record)
        except Exception as error:
            record.fatal_kind, record.fatal = describe(error, f"shard {record.shard} could not be finished")
        return record.to_table()

    def run_shard(self, table: pa.Table, record: Record) -> None:
        wanted = successes(table.to_pylist())
        self.begun_at = self.begun_at or time.time()
        rows: list[Row] = []
        found = self.layout.pictures(self.pictures, record.shard, wanted)
        while few := list(islice(found, self.config.batch_size)):
            rows += self.model_thread.submit(self.caption, few).result()
            self.first_at = self.first_at or time.time()
        self.store.put(captions_key(record.shard), manifest_bytes(pa.Table.from_pylist(rows, schema=SCHEMA)))
        record.begun_at, record.first_image_at = self.begun_at, self.first_at
        record.images, record.bytes = len(rows), sum(row["bytes"] or 0 for row in rows)
        for row in rows:
            if row["status"] == FAILED:
                record.failed += 1
                record.codes[row["error_code"]] = record.codes.get(row["error_code"], 0) + 1

    def caption(self, pictures: Sequence[Picture]) -> list[Row]:
        opened = [opened_or_reason(data) for _, data in pictures]
        results = iter(self.captioner.caption([image for image in opened if not isinstance(image, str)]))
        rows = []
        for (entry, data), image in zip(pictures, opened, strict=True):
            row = {"file_name": entry["file_name"], "member": entry["member"]}
            if data is not None:
                row |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            if isinstance(image, str):
                rows.append(row | failure(INVALID_IMAGE, image))
                continue
            result = next(results)
            if result.error_code is None:
                rows.append(row | {"text": result.text, "status": SUCCESS})
            else:
                rows.append(row | failure(result.error_code, result.error_message or ""))
        return rows


def opened_or_reason(data: bytes | None) -> Image.Image | str:
    """The decoded picture, or why there is none. An animation's first picture counts."""
    if data is None:
        return "the picture is missing; put it back, or make its dataset again"
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except UnidentifiedImageError:  # its text names an address in memory, which no two runs share
        return "the picture cannot be read (it is in no format that is known); replace the file"
    except Exception as error:  # Pillow raises many kinds, SyntaxError among them
        return f"the picture cannot be read ({type(error).__name__}: {error}); replace the file"
    return image


def failure(code: str, message: str) -> Row:
    return {"status": FAILED, "error_code": code, "error_message": safe_text(message, MAX_MESSAGE)}
