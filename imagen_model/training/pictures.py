"""Captioned pictures on a disk as a training set: COCO, Conceptual Captions, WebDataset tars.

An index of the whole set is made once, in memory: a picture's place and its captions. Pictures are decoded when a step
wants them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from ..caption_files import Captioned, NotACaptionFile, read_coco, read_conceptual_captions
from ..drawn_world.captions import tokens
from .data_source import DataSource
from .job import InvalidTrainingJob
from .tar_index import read_shards

NOTE = "data.json"
READERS: dict[str, Callable[[Any], Iterator[Captioned]]] = {
    "coco": read_coco,
    "conceptual-captions": read_conceptual_captions,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture's file, or its bytes' place in a tar, and what is said of it."""

    name: str
    path: str
    captions: tuple[str, ...]
    offset: int = 0
    size: int | None = None

    def open(self) -> Image.Image:
        """Raises:
        OSError: it cannot be read or decoded.
        """
        if self.size is None:
            return Image.open(self.path)
        with Path(self.path).open("rb") as tar:
            tar.seek(self.offset)
            return Image.open(io.BytesIO(tar.read(self.size)))

    def load(self, side: int) -> Image.Image:
        """In RGB, upright, its middle square, decoded no finer than `side` needs.

        Raises:
            OSError: it cannot be read or decoded.
        """
        try:
            with self.open() as image:
                image.draft("RGB", (2 * side, 2 * side))  # a JPEG is decoded at a fraction of its size
                upright = ImageOps.exif_transpose(image).convert("RGB")
        except (SyntaxError, ValueError, Image.DecompressionBombError) as damage:  # Pillow's, of broken headers
            raise OSError(str(damage)) from damage
        edge = min(upright.size)
        return ImageOps.fit(upright, (edge, edge), Image.Resampling.BICUBIC)


class PictureSet:
    """Attributes:
    training, held_out: the pictures of either side; a picture with all its captions is on one side, which depends on
        its name alone.
    """

    def __init__(self, source: DataSource) -> None:
        """Raises:
        InvalidTrainingJob: a file cannot be read as its format, or there is nothing to train or to validate on.
        """
        self.source = source
        found = list(read_pictures(source))
        if not found:
            raise InvalidTrainingJob(f"data: no captioned picture in {source.captions or source.shards}")
        limit = int(source.held_out * 2**64)
        self.held_out = [picture for picture in found if name_hash(picture.name) < limit]
        self.training = [picture for picture in found if name_hash(picture.name) >= limit]
        for side, what in ((self.training, "training"), (self.held_out, "validation")):
            if not side:
                raise InvalidTrainingJob(
                    f"data: held_out {source.held_out} leaves none of {len(found)} pictures to {what}; choose another"
                )

    def fingerprint(self) -> str:
        """Changes with any name, place or caption."""
        digest = hashlib.sha256()
        for picture in (*self.training, *self.held_out):
            digest.update(repr((picture.name, picture.offset, picture.captions)).encode())
        return digest.hexdigest()

    def frequent_words(self) -> list[str]:
        """The words and Chinese characters of the training captions, the most frequent `vocabulary` of them, sorted."""
        counts = Counter(word for picture in self.training for caption in picture.captions for word in tokens(caption))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return sorted(ranked[: self.source.vocabulary])


@lru_cache(maxsize=1)
def picture_set(source: DataSource) -> PictureSet:
    """Indexed once for all that asks."""
    return PictureSet(source)


def check_unchanged(output: Path, pictures: PictureSet, write: bool = True) -> None:
    """Note what a run learns from, in `data.json`; a run that goes on must find the same.

    Args:
        write: of several processes only one notes it.

    Raises:
        InvalidTrainingJob: the set is another one than when the run began.
    """
    note, now = output / NOTE, {"training": len(pictures.training), "held_out": len(pictures.held_out)}
    said = json.dumps(now | {"sha256": pictures.fingerprint()})
    if note.exists() and note.read_text() != said:
        raise InvalidTrainingJob(
            f"data: the pictures or captions are not those that {output} began with ({note.read_text()}, now {said}); "
            "bring them back, or choose another output"
        )
    if write:
        note.write_text(said)


def name_hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def read_pictures(source: DataSource) -> Iterator[Picture]:
    if source.format == "webdataset":
        assert source.shards is not None
        for sample in read_shards(source.shards):
            yield Picture(sample.name, sample.tar, (sample.caption,), sample.offset, sample.size)
        return
    assert source.captions is not None and source.images is not None
    try:
        with Path(source.captions).open("rb") as file:
            entries = list(READERS[source.format](file))
    except (OSError, NotACaptionFile) as problem:
        raise InvalidTrainingJob(f"data: cannot read {source.captions}: {problem}") from problem
    yield from with_files(entries, Path(source.images), by_number=source.format == "conceptual-captions")


def with_files(entries: Iterable[Captioned], folder: Path, by_number: bool) -> Iterator[Picture]:
    """One picture for all the captions of a file that is there; says how many are left out, and why."""
    files = {path.relative_to(folder).as_posix(): path for path in walk(folder)}
    if not files:
        raise InvalidTrainingJob(f"data: no file in {folder}; give the folder that holds the pictures")
    numbered = {int(path.stem): name for name, path in files.items() if path.stem.isdecimal() and path.parent == folder}
    captions: dict[str, list[str]] = {}
    left_out: list[str] = []
    for entry in entries:
        name = entry.image
        if name not in files and by_number:
            name = numbered.get(int(entry.id))
        if entry.problem is not None or not entry.caption:
            left_out.append(entry.problem or f"entry {entry.id} has an empty caption")
        elif name not in files:
            left_out.append(f"the picture of entry {entry.id}, {entry.image}, is not in {folder}")
        else:
            captions.setdefault(name, []).append(entry.caption)
    if left_out:
        total = len(left_out) + sum(map(len, captions.values()))
        warnings.warn(f"{len(left_out)} of {total} captions are left out, the first: {left_out[0]}", stacklevel=2)
    for name, said in captions.items():
        yield Picture(name, str(files[name]), tuple(said))


def walk(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        yield from (Path(root) / name for name in names)
