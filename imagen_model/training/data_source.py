"""Which captioned pictures on a disk a training file names, checked as a whole; needs neither torch nor Pillow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FORMATS = ("coco", "conceptual-captions", "webdataset")


@dataclass(frozen=True, slots=True)
class DataSource:
    """The `data` of a training file.

    Args:
        format: "coco", "conceptual-captions" or "webdataset".
        captions: COCO's JSON or Conceptual Captions' TSV.
        images: the folder of their pictures. COCO names them; in Conceptual Captions the second column is a path in
            the folder, or else a URL whose picture is named by the number of its line, as `17.jpg` or `000000017.png`.
        shards: a WebDataset tar or a glob of them; a sample is a picture beside a `.txt`, or a `.json` with `caption`.
        held_out: share of the pictures that no training step sees and validation alone is made of.
        vocabulary: words of a new model's tokenizer, the most frequent ones of the training captions.
    """

    format: str
    captions: str | None = None
    images: str | None = None
    shards: str | None = None
    held_out: float = 0.01
    vocabulary: int = 8192

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {self.format!r}")
        needed = ("shards",) if self.format == "webdataset" else ("captions", "images")
        for name in ("captions", "images", "shards"):
            if (getattr(self, name) is None) == (name in needed):
                raise ValueError(f"{self.format} takes {' and '.join(needed)} and no other place")
        if not isinstance(self.held_out, int | float) or not 0 < self.held_out < 1:
            raise ValueError(f"held_out must be between 0 and 1, both excluded, got {self.held_out!r}")
        if not isinstance(self.vocabulary, int) or self.vocabulary < 1:
            raise ValueError(f"vocabulary must be a whole number of at least 1, got {self.vocabulary!r}")

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> DataSource:
        """From a training file's mapping.

        Raises:
            ValueError: an unknown field, or values that do not fit together.
        """
        known = [item.name for item in dataclasses.fields(cls)]
        unknown = sorted(set(fields) - set(known))
        if unknown or "format" not in fields:
            wrong = f"unknown field {', '.join(unknown)}" if unknown else "the field format is missing"
            raise ValueError(f"{wrong}; known: {', '.join(known)}")
        return cls(**fields)
