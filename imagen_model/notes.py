"""What processes that make pictures of one run tell each other, wherever they are.

Memory decides how many rows run together where a model halves a micro-batch, and that decides pictures' last bits.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable


class Notes(Protocol):
    """Where processes that make pictures of one run tell each other what they settled on."""

    def read(self, kind: str) -> int | None:
        """The number that was written for it, if one was."""
        ...

    def write(self, kind: str, number: int) -> int:
        """The number that counts from now on: this one, or what another process had written before."""
        ...


@runtime_checkable
class NoteTaking(Protocol):
    """A generator whose arithmetic depends on what fits into memory; told before its first request."""

    def keep_notes(self, notes: Notes) -> None: ...
