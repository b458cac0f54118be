"""A diffusers model that exists, as jobs and servers hold it: found and pinned here, loaded in a worker."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from ..generation import Generator, RequestRules
from .folder import check_here, lora_file
from .options import NO_OPTIONS, ModelOptions


@dataclass(frozen=True, slots=True)
class DiffusersSource:
    """The fields are those of `imagen_model.catalog.ModelSource`."""

    name: str
    folder: str
    revision: str
    rules: RequestRules
    options: ModelOptions = NO_OPTIONS

    def load(self, batch_size: int | None = None, device: str = "auto") -> Generator:
        """As `ModelSource.load`."""
        check_here(self.folder)
        from .generator import DiffusersGenerator

        return DiffusersGenerator.from_folder(self.folder, self.options, batch_size, device)


def revision_with(revision: str, options: ModelOptions) -> str:
    """The revision of a model that is run with these options: its own where they change no picture.

    Adapters count by their content, whatever they are called.
    """
    pinned = options.pinned()
    if not pinned:
        return revision
    if options.lora:
        pinned["lora"] = [[digest(lora_file(path)), weight] for path, weight in options.loras()]
    return hashlib.sha256(f"{revision}\n{json.dumps(pinned, sort_keys=True)}".encode()).hexdigest()[:16]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
