"""Where the samples of WebDataset tars lie: members that share a name up to its first dot are one sample."""

from __future__ import annotations

import glob
import json
import tarfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from .job import InvalidTrainingJob

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture's bytes are the `size` bytes from `offset` in the file `tar`."""

    name: str
    tar: str
    offset: int
    size: int
    caption: str


@dataclass(slots=True)
class Found:
    """What has been met of a sample: its picture's place, and its texts by ending."""

    place: tuple[int, int] | None = None
    texts: dict[str, bytes] = field(default_factory=dict)


def read_shards(pattern: str) -> Iterator[Sample]:
    """The samples with a picture and a caption, in the order of the tars' names; says how many lack one.

    Args:
        pattern: a path, or a glob of them.

    Raises:
        InvalidTrainingJob: no tar is there, or one cannot be read as an uncompressed tar.
    """
    tars = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (a pattern may be absolute)
    if not tars:
        raise InvalidTrainingJob(f"data: no file matches {pattern!r}; give a tar, or a glob of tars in quotes")
    lacking: list[str] = []
    for tar in tars:
        for name, found in index_of(tar).items():
            caption = caption_of(found.texts)
            if found.place is None or not caption:
                lacking.append(f"{tar}: {name} has no {'picture' if found.place is None else 'caption'}")
            else:
                yield Sample(f"{PurePosixPath(tar).name}/{name}", tar, *found.place, caption)
    if lacking:
        warnings.warn(f"{len(lacking)} samples are left out, the first: {lacking[0]}", stacklevel=2)


def index_of(tar: str) -> dict[str, Found]:
    samples: dict[str, Found] = {}
    try:
        with tarfile.open(tar, "r:") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                path = PurePosixPath(member.name)
                stem, dot, ending = path.name.partition(".")
                found = samples.setdefault(str(path.with_name(stem)), Found())
                if (dot + ending).lower() in PICTURES:
                    found.place = (member.offset_data, member.size)
                elif ending.lower() in ("txt", "json"):
                    content = archive.extractfile(member)
                    assert content is not None
                    found.texts[ending.lower()] = content.read()
    except (OSError, tarfile.TarError) as problem:
        raise InvalidTrainingJob(
            f"data: cannot read {tar} as a tar: {problem}; tars must be whole and uncompressed"
        ) from problem
    return samples


def caption_of(texts: dict[str, bytes]) -> str:
    """Of a `.txt`, else the `caption` or `text` of a `.json`; empty where neither says anything."""
    if "txt" in texts:
        return texts["txt"].decode("utf-8", errors="replace").strip()
    try:
        fields = json.loads(texts.get("json", b"{}"))
    except ValueError:
        return ""
    said = (fields.get("caption") or fields.get("text")) if isinstance(fields, dict) else None
    return said.strip() if isinstance(said, str) else ""
