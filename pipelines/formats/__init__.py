"""The forms in which a run's pictures are stored; each is written directly, shard by shard."""

from __future__ import annotations

from ..errors import InvalidJob
from .archive import ArchiveFormat
from .imagefolder import ImageFolder
from .layout import OutputFormat, ShardWriter
from .parquet import ParquetArchive
from .webdataset import TarArchive

__all__ = ["OUTPUT_FORMATS", "OutputFormat", "ShardWriter", "output_format"]

OUTPUT_FORMATS: dict[str, OutputFormat] = {
    "imagefolder": ImageFolder(),
    "webdataset": ArchiveFormat(TarArchive()),
    "parquet": ArchiveFormat(ParquetArchive()),
}


def output_format(name: str) -> OutputFormat:
    """Raises:
    InvalidJob: there is none of that name.
    """
    try:
        return OUTPUT_FORMATS[name]
    except KeyError:
        known = ", ".join(OUTPUT_FORMATS)
        raise InvalidJob(f"output format {name!r} is not known; give one of: {known}") from None
