"""Fetches a model in a process of its own, for tests that start two or kill one: slow_weights.py MODEL SECONDS LOG.

MODEL is a pickled `RemoteModel` whose URL begins with `slow://`: files of this machine, each read of which leaves a
line in LOG, and takes SECONDS where it is of the weights.
"""

from __future__ import annotations

import pickle
import sys
import time
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]


class SlowFileSystem(LocalFileSystem):
    protocol = "slow"
    seconds = 0.0
    log: Path | None = None

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return super()._strip_protocol(path.removeprefix("slow://") if isinstance(path, str) else path)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        if self.log is not None:
            with self.log.open("a") as log:
                log.write(f"{Path(path).name} {start}\n")
        if path.endswith(".safetensors"):
            time.sleep(self.seconds)
        return super().cat_file(path, start, end, **options)


fsspec.register_implementation("slow", SlowFileSystem, clobber=True)

if __name__ == "__main__":
    model, seconds, log = sys.argv[1:]
    SlowFileSystem.seconds, SlowFileSystem.log = float(seconds), Path(log)
    print(pickle.loads(Path(model).read_bytes()).folder())
