"""What a run's workers found to fit into memory, written down in its output for the others and for those to come.

A micro-batch that was halved decides pictures' last bits as the plan does. So the first worker that had to halve it for
a kind of row, on a kind of device, says so in `.run/micro-batches/`; others of that device, also after a resume and in
a retry, begin with that number. The model and its settings are the plan's.
"""

from __future__ import annotations

import hashlib
import json

from .storage import Store

SETTLED = ".run/micro-batches"


class SettledRows:
    """The `imagen_model.notes.Notes` of one output."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def read(self, kind: str) -> int | None:
        """Raises:
        StoreError: the output cannot be read.
        """
        try:
            return int(json.loads(self.store.read(key_of(kind)))["rows"])
        except FileNotFoundError:
            return None

    def write(self, kind: str, rows: int) -> int:
        """Raises:
        StoreError: the output cannot be written.
        """
        data = json.dumps({"kind": json.loads(kind), "rows": rows}, sort_keys=True).encode()
        if self.store.create(key_of(kind), data):
            return rows
        found = self.read(kind)
        return rows if found is None else found


def key_of(kind: str) -> str:
    return f"{SETTLED}/{hashlib.sha256(kind.encode()).hexdigest()[:32]}.json"
