"""Parquet shards with pictures inside, typed as Hugging Face's `Image` feature, so that `datasets` shows them.

https://huggingface.co/docs/hub/datasets-image#parquet-format: a struct of `bytes` and `path`, and the features as
JSON under the schema's key `huggingface`. Row groups are small, for readers that page through pictures.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import StoreError
from ..manifest import Entry, ManifestSchema
from .layout import dataset_row

ROW_GROUP = 100  # rows, as the hub's viewer wants it
ROW_GROUP_BYTES = 64 * 2**20  # of pictures; whichever is reached first
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
DTYPES = {"double": "float64", "float": "float32", "halffloat": "float16"}


class ParquetArchive:
    """One Parquet file."""

    name = "parquet"
    suffix = "parquet"

    def write(self, target: BinaryIO, pictures: Iterable[tuple[Entry, bytes]], schema: ManifestSchema) -> None:
        arrow = dataset_schema(schema)
        others = [name for name in arrow.names if name != "image"]
        rows: list[Entry] = []
        size = 0
        with pq.ParquetWriter(
            target,
            arrow,
            # Pictures are compressed already, and no two are alike.
            compression={"image.bytes": "NONE", "image.path": "ZSTD"} | dict.fromkeys(others, "ZSTD"),
            use_dictionary=others,
            write_statistics=others,
            write_page_index=True,
        ) as writer:
            for entry, data in pictures:
                rows.append({"image": {"bytes": data, "path": entry["member"]}, **dataset_row(entry, schema)})
                size += len(data)
                if len(rows) == ROW_GROUP or size >= ROW_GROUP_BYTES:
                    writer.write_table(pa.Table.from_pylist(rows, schema=arrow))
                    rows, size = [], 0
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema=arrow))

    def read(self, path: Path) -> Iterator[tuple[str, bytes]]:
        try:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    for image in file.read_row_group(group, columns=["image"]).column("image").to_pylist():
                        yield image["path"], image["bytes"]
        except (pa.ArrowException, OSError, KeyError, TypeError) as error:
            raise StoreError(f"{path.name} is no whole Parquet file of pictures ({error})") from error

    def same(self, one: Path, other: Path) -> bool:
        with pq.ParquetFile(one) as first, pq.ParquetFile(other) as second:
            if first.schema_arrow != second.schema_arrow or first.metadata.num_rows != second.metadata.num_rows:
                return False
            pairs = zip(first.iter_batches(ROW_GROUP), second.iter_batches(ROW_GROUP), strict=True)
            return all(left.equals(right) for left, right in pairs)


def dataset_schema(schema: ManifestSchema) -> pa.Schema:
    """`image`, `text` and the metadata's columns, with the features that `datasets` reads."""
    fields = [pa.field("image", IMAGE), *list(schema.metadata)[1:]]
    features: dict[str, object] = {
        field.name: {"dtype": dtype_name(field.type), "_type": "Value"} for field in fields[1:]
    }
    features = {"image": {"_type": "Image"}} | features
    return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})


def dtype_name(kind: pa.DataType) -> str:
    """As `datasets.Value` spells an Arrow type."""
    return DTYPES.get(str(kind), str(kind))
