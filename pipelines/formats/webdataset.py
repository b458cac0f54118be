"""Tar shards as `webdataset` and `datasets` read them: KEY.png, KEY.txt, KEY.json for each picture.

https://github.com/webdataset/webdataset#the-webdataset-format: a sample's members stand together, and a key ends
at the first dot of the name. Header fields are fixed (POSIX ustar, no owner, time 0), so that equal pictures give
equal archives.
"""

from __future__ import annotations

import filecmp
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import StoreError
from ..manifest import Entry, ManifestSchema
from .layout import json_row

SIDE = (".txt", ".json")


class TarArchive:
    """One tar file."""

    name = "webdataset"
    suffix = "tar"

    def write(self, target: BinaryIO, pictures: Iterable[tuple[Entry, bytes]], schema: ManifestSchema) -> None:
        with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for entry, data in pictures:
                key = entry["member"].partition(".")[0]
                add(tar, entry["member"], data)
                add(tar, f"{key}.txt", entry["prompt"].encode())
                add(tar, f"{key}.json", json_bytes(json_row(entry, schema)))

    def read(self, path: Path) -> Iterator[tuple[str, bytes]]:
        try:
            with tarfile.open(path, mode="r:") as tar:
                for info in tar:
                    file = tar.extractfile(info)
                    if file is not None and not info.name.endswith(SIDE):
                        yield info.name, file.read()
        except tarfile.TarError as error:
            raise StoreError(f"{path.name} is no whole tar file ({error})") from error

    def same(self, one: Path, other: Path) -> bool:
        return filecmp.cmp(one, other, shallow=False)


def json_bytes(row: Entry) -> bytes:
    return json.dumps(row, ensure_ascii=False, allow_nan=False, sort_keys=True).encode()


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # mode 0644, owner 0, time 0
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
