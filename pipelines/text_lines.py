"""Lines of text files that become rows: a line that cannot be read says why, in `INVALID`, and stays a row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

INVALID = "__invalid__"  # why a row could not be read; null where it could
MAX_LINE = 8 * 2**20  # bytes
TEXT = pa.string()

Row = dict[str, Any]


def lines(file: Any) -> Iterator[bytes]:
    """Each line with its end; one longer than `MAX_LINE` is cut there, which its reader then refuses."""
    first = True
    while line := file.readline(MAX_LINE):
        piece = line
        while len(piece) == MAX_LINE and not piece.endswith(b"\n"):
            piece = file.readline(MAX_LINE)
        yield line.removeprefix(b"\xef\xbb\xbf") if first else line
        first = False


def decode(line: bytes) -> tuple[str, str | None]:
    """The line without its end, and why it cannot be taken."""
    if len(line) >= MAX_LINE:
        return "", f"the line is longer than {MAX_LINE:,} bytes; shorten it"
    body = line.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return body.decode(), None
    except UnicodeDecodeError as error:
        return "", f"the line is not UTF-8 (byte 0x{body[error.start]:02X} at {error.start}); save the file as UTF-8"


def parse_object(line: bytes) -> tuple[Row, str | None]:
    text, problem = decode(line)
    if problem or not text.strip():
        return {}, problem
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return {}, f"the line is not JSON ({error}); correct it"
    if not isinstance(value, dict):
        return {}, f'the line is a JSON {type(value).__name__}, not an object; write {{"prompt": ...}}'
    return value, None


def storable(text: str) -> str:
    r"""Text that UTF-8 can hold: a lone surrogate, legal in JSON's "\ud800", is written as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()
