"""Captions of public collections: COCO's JSON (https://cocodataset.org/#format-data) and Conceptual Captions' TSV
(https://ai.google.com/research/ConceptualCaptions), as training sets and as prompt tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any


class NotACaptionFile(ValueError):
    """The file as a whole is none of that format; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Captioned:
    """One caption of one picture.

    Args:
        id: the annotation's in COCO, the line's number (from 1) in Conceptual Captions.
        image: the picture's file name in COCO, its URL in Conceptual Captions; None where it is not said.
        problem: why the entry cannot be read; then `caption` is None.
    """

    id: str
    caption: str | None
    image: str | None
    problem: str | None = None


def read_coco(file: IO[bytes]) -> Iterator[Captioned]:
    """The annotations in the file's order. The whole file is held in memory (`captions_train2017.json`: 92 MB).

    Raises:
        NotACaptionFile: not JSON, or no object with a list of annotations.
    """
    try:
        whole: Any = json.load(file)
    except (ValueError, RecursionError) as error:
        raise NotACaptionFile(f"not JSON ({error}); give a COCO captions file") from None
    found = whole.get("annotations") if isinstance(whole, dict) else None
    if not isinstance(found, list):
        raise NotACaptionFile("no list of `annotations`; give a COCO captions file such as captions_train2017.json")
    images = whole.get("images")
    names = {
        image["id"]: image.get("file_name")
        for image in (images if isinstance(images, list) else [])
        if isinstance(image, dict) and "id" in image
    }
    for place, annotation in enumerate(found):
        yield read_annotation(annotation, place, names)


def read_annotation(annotation: Any, place: int, names: dict[Any, Any]) -> Captioned:
    if not isinstance(annotation, dict):
        return Captioned(str(place), None, None, f"annotation {place} is a {type(annotation).__name__}, not an object")
    own_id = str(annotation.get("id", place))
    caption = annotation.get("caption")
    image = names.get(annotation.get("image_id"))
    if not isinstance(caption, str):
        return Captioned(own_id, None, image, f"annotation {own_id} has no caption; `caption` must be text")
    return Captioned(own_id, caption.strip(), image if isinstance(image, str) else None)


def read_conceptual_captions(file: IO[bytes]) -> Iterator[Captioned]:
    """The lines `caption<TAB>url`; there is no header and no quoting."""
    for number, line in enumerate(file, start=1):
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            problem = f"the line is not UTF-8 (byte 0x{line[error.start]:02X} at {error.start}); save the file as UTF-8"
            yield Captioned(str(number), None, None, problem)
            continue
        caption, tab, url = text.partition("\t")
        if not tab or "\t" in url:
            problem = f"the line has {text.count(chr(9)) + 1} fields, not caption<TAB>url; correct the line"
            yield Captioned(str(number), None, None, problem)
        else:
            yield Captioned(str(number), caption.strip(), url)
