"""The archives that `webdataset` writes are those of Python's own `tarfile`, byte for byte."""

from __future__ import annotations

import io
import tarfile

import pytest

from pipelines.formats.webdataset import member


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 70_000])
@pytest.mark.parametrize("name", ["000000001-0.png", "999999999-99.json", "x" * 100])
def test_a_member_is_what_tarfile_writes(name: str, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size
    expected = io.BytesIO()
    with tarfile.open(fileobj=expected, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(b"\xa5" * size))
        written = expected.getvalue()
    assert member(name, b"\xa5" * size) == written
