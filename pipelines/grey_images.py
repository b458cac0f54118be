"""The pictures that rows bring to be colorized: a path, a URL, or the file's own bytes.

A path is relative to the folder of the prompt table. Bytes are Parquet's, alone or as Hugging Face's images have them,
`{bytes, path}`. What a picture was is in the manifest by its hash, for a file may change while its name stays.
"""

from __future__ import annotations

from imagen_model.grey_picture import LARGEST_FILE, GreyPicture, refused

from .errors import PipelineError, StoreDenied
from .remote_tables import filesystem_of, is_remote, read_meaning
from .store_errors import PATIENCE, patiently

LONGEST_PATH = 4096  # characters

Cell = object


def grey_picture(cell: Cell, folder: str) -> GreyPicture | None:
    """The row's picture; None where it brings none.

    Args:
        folder: or URL, that paths are relative to.

    Raises:
        InvalidRequest: `invalid_image`, of that row.
        StoreUnavailable: the object store has been silent for minutes, so no row is at fault.
    """
    if isinstance(cell, dict):
        cell = cell.get("bytes") if cell.get("bytes") is not None else cell.get("path")
    if cell is None or cell == "" or cell != cell:  # NaN is pandas' "none"
        return None
    if isinstance(cell, bytes):
        return GreyPicture.read(cell)
    if not isinstance(cell, str) or len(cell) > LONGEST_PATH:
        raise refused(f"must be a path, a URL or a file's bytes, got {cell!r:.80}; correct the row")
    return GreyPicture.read(read_file(cell if is_absolute(cell) else f"{folder.rstrip('/')}/{cell}"))


def told_name(cell: Cell) -> str | None:
    """What the manifest says of where the picture was: its path or URL, where the row has one."""
    if isinstance(cell, dict):
        cell = cell.get("path")
    return cell[:LONGEST_PATH] if isinstance(cell, str) and cell else None


def is_absolute(path: str) -> bool:
    return path.startswith("/") or "://" in path


def read_file(url: str) -> bytes:
    """Raises as `grey_picture`."""

    def read() -> bytes:
        filesystem, path = filesystem_of(url)
        with filesystem.open(path, "rb") as file:
            found: bytes = file.read(LARGEST_FILE + 1)
            return found

    try:
        # Only an object store is known to come back, and to be meant for all rows.
        patient = is_remote(url) and url.startswith("s3://")
        return patiently(read, url, PATIENCE, read_meaning) if patient else read()
    except FileNotFoundError:
        raise refused(f"{url:.300} is missing; put it there, or correct the row, then run retry") from None
    except StoreDenied as error:
        raise refused(f"cannot be read: {error}") from error
    except PipelineError:
        raise
    except Exception as error:  # of any file system that fsspec has
        raise refused(f"{url:.300} cannot be read ({type(error).__name__}: {error}); then run retry") from error
