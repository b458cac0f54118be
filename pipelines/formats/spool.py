"""A shard's encoded pictures while they wait for their archive: in memory up to a bound, beyond it on disk."""

from __future__ import annotations

import tempfile
import threading

from ..store_errors import translated

IN_MEMORY = 64 * 2**20  # bytes of one shard; a worker holds two shards


class Spool:
    """Filled by several threads in any order, read in the order of the rows."""

    def __init__(self) -> None:
        self.file = tempfile.SpooledTemporaryFile(IN_MEMORY, prefix="imagegen-")  # noqa: SIM115 closed by close()
        self.lock = threading.Lock()
        self.places: dict[tuple[int, int], tuple[int, int]] = {}
        self.end = 0

    def add(self, row: int, image_index: int, data: bytes) -> None:
        """Raises:
        StoreFull: the disk of the temporary folder is full.
        """
        with self.lock, translated(tempfile.gettempdir()):
            self.file.seek(self.end)
            self.file.write(data)
            self.places[row, image_index] = (self.end, len(data))
            self.end += len(data)

    def read(self, row: int, image_index: int) -> bytes | None:
        """The picture's bytes; None for one that was never added."""
        place = self.places.get((row, image_index))
        if place is None:
            return None
        with self.lock:
            self.file.seek(place[0])
            return self.file.read(place[1])

    def close(self) -> None:
        with self.lock:
            self.file.close()
