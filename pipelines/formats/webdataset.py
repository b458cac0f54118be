"""Tar shards as `webdataset` and `datasets` read them: KEY.png, KEY.txt, KEY.json for each picture.

https://github.com/webdataset/webdataset#the-webdataset-format: a sample's members stand together, and a key ends
at the first dot of the name. Header fields are fixed (POSIX ustar, no owner, time 0), so that equal pictures give
equal archives.
"""

from __future__ import annotations

import filecmp
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import StoreError
from ..manifest import Entry, ManifestSchema
from .layout import json_row

SIDE = (".txt", ".json")
# Of a ustar header: mode, user, group; and what follows the checksum: a plain file, no link, no owner's names.
OWNER = b"0000644\0" + b"0000000\0" * 2
AFTER = (b"0" + bytes(100) + b"ustar\x0000").ljust(tarfile.BLOCKSIZE - 156, b"\0")
AFTER_SUM = sum(AFTER) + 8 * ord(" ")  # the checksum counts its own eight bytes as blanks


class TarArchive:
    """One tar file."""

    name = "webdataset"
    suffix = "tar"

    def write(self, target: BinaryIO, pictures: Iterable[tuple[Entry, bytes]], schema: ManifestSchema) -> None:
        for entry, data in pictures:
            key = entry["member"].partition(".")[0]
            target.write(member(entry["member"], data))
            target.write(member(f"{key}.txt", entry["prompt"].encode()))
            target.write(member(f"{key}.json", json_bytes(json_row(entry, schema))))
        target.write(bytes(2 * tarfile.BLOCKSIZE))
        target.write(bytes(-target.tell() % tarfile.RECORDSIZE))

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


def member(name: str, data: bytes) -> bytes:
    """One file as it stands in the archive. `tarfile` gives the same bytes in five times the time."""
    before = name.encode().ljust(100, b"\0") + OWNER + b"%011o\0%011o\0" % (len(data), 0)
    header = before + b"%06o\0 " % (sum(before) + AFTER_SUM) + AFTER
    return header + data + bytes(-len(data) % tarfile.BLOCKSIZE)
