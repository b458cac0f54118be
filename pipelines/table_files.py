"""From what the user names (a file, a folder, a glob, a URL) to the files of the table and their format."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import InvalidJob, NoFilesMatch, TableError, UnreadableTable
from .remote_tables import check_answers, filesystem_of, is_remote, passing, reading

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "text",
    ".json": "coco",
}
# Others than by a name's ending: a TSV without a header and text whose blank lines part the prompts, only where it is
# said; JSON lines and text, by their content.
NAMED = {*FORMATS.values(), "conceptual-captions", "paragraphs", "openai-batch", "a1111"}


class TableFiles:
    """The files of one table, in the order of their names.

    Attributes:
        paths: on `filesystem`, sorted.
        names: relative to the folder that was named; what a plan records, so that a moved table is still known.
        format: parquet, csv, tsv, jsonl, text, paragraphs, openai-batch, a1111, coco or conceptual-captions.
        named: the format was given, and is not to be told by the content.
        folder: path or URL that `names` are relative to.
    """

    def __init__(self, prompts: str, input_format: str | None = None) -> None:
        """Args:
            prompts: path or URL of a file, a folder or a glob.
            input_format: the format, where the names do not tell it.

        Raises:
            NoFilesMatch: nothing is there.
            TableError: the files' names tell different formats, or none.
        """
        if input_format is not None and input_format not in NAMED:
            known = ", ".join(sorted(NAMED))
            raise InvalidJob(f"input format {input_format!r} is not known; give one of: {known}")
        self.prompts = prompts
        self.named = input_format is not None
        self.absolute = prompts if "://" in prompts else str(Path(prompts).expanduser().absolute())
        self.filesystem: Any
        self.filesystem, root = filesystem_of(prompts)
        self.remote = is_remote(prompts)
        check_answers(prompts)
        try:
            if not self.remote:
                check_readable(Path(root))
            self.paths, base = reading(lambda: self.find(root), prompts, answered=False)
        except PermissionError as error:
            raise UnreadableTable(f"{prompts} cannot be read ({error}); grant permission to read it") from error
        if not self.paths:
            raise NoFilesMatch(f"no file matches {prompts!r}; give a file, a folder with files, or a glob in quotes")
        self.format = input_format or self.tell_format()
        self.names = [str(PurePosixPath(path).relative_to(base)) for path in self.paths]
        self.folder = str(self.filesystem.unstrip_protocol(str(base)) if self.remote else base)

    def find(self, root: str) -> tuple[list[str], PurePosixPath]:
        if any(mark in root for mark in "*?[") and not self.filesystem.exists(root):
            found = [path for path in self.filesystem.glob(root) if self.filesystem.isfile(path)]
            fixed = root[: min(root.index(mark) for mark in "*?[" if mark in root)]
            return sorted(found), PurePosixPath(fixed.rpartition("/")[0] or "/")
        if self.filesystem.isdir(root):
            base = PurePosixPath(root)
            found = [path for path in self.filesystem.find(root) if not hidden(PurePosixPath(path).relative_to(base))]
            # A lone .json beside tables is somebody's configuration more often than captions.
            known = [path for path in found if FORMATS.get(PurePosixPath(path).suffix.lower(), "coco") != "coco"]
            return sorted(known or found), base
        return ([root] if self.filesystem.isfile(root) else []), PurePosixPath(root).parent

    def tell_format(self) -> str:
        by_format: dict[str, str] = {}
        for path in self.paths:
            found = FORMATS.get(PurePosixPath(path).suffix.lower())
            if found is None:
                sheet = PurePosixPath(path).suffix.lower() in {".xlsx", ".xls", ".ods"}
                remedy = (
                    "save the sheet as CSV" if sheet else f"give --input-format, one of: {', '.join(sorted(NAMED))}"
                )
                raise TableError(
                    f"the format of {path} cannot be told from its name (known: {', '.join(FORMATS)}); {remedy}"
                )
            by_format.setdefault(found, path)
        if len(by_format) > 1:
            shown = " and ".join(f"{path} ({name})" for name, path in sorted(by_format.items()))
            raise TableError(f"{self.prompts} mixes formats: {shown}; give a glob that matches one of them")
        return next(iter(by_format))

    def open(self, index: int) -> Any:
        """The file, open for reading bytes.

        Raises:
            UnreadableTable: it cannot be opened.
        """
        try:
            return self.filesystem.open(self.paths[index], "rb")
        except OSError as error:
            if passing(error, self.prompts):
                raise  # for `reading` to try again
            path = self.paths[index]
            raise UnreadableTable(f"{path} cannot be read: {error}; check the path and permissions") from error

    def url(self, index: int) -> str:
        """The file as fsspec and `reading` take it."""
        url: str = self.filesystem.unstrip_protocol(self.paths[index])
        return url

    def local(self, index: int, folder: Path) -> Callable[[], Any]:
        """Opens the file, which is copied to `folder` first if it lies elsewhere: for formats that are read from
        one end to the other, more than once.

        Raises:
            UnreadableTable: it cannot be read.
        """
        if not self.remote:
            return lambda: self.open(index)
        copy = folder / "source"
        reading(lambda: self.filesystem.get_file(self.paths[index], str(copy)), self.url(index))
        return lambda: copy.open("rb")


def check_readable(root: Path) -> None:
    """A folder that may not be listed looks like an empty one to fsspec, and its rows would be missing in silence.

    Raises:
        PermissionError: of the folder, of one below it, or of one above it.
    """

    def refuse(error: OSError) -> None:
        if isinstance(error, PermissionError):
            raise error

    try:
        root.stat()
    except OSError as error:  # what is not there may be a glob
        refuse(error)
    for _, folders, _ in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not hidden(PurePosixPath(name))]


def hidden(path: PurePosixPath) -> bool:
    """Names that writers keep for themselves: `.part`, `_SUCCESS`."""
    return any(part.startswith((".", "_")) for part in path.parts)
