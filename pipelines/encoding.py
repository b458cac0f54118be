"""A picture becomes the bytes of its file: the same picture, the same bytes.

Nothing but pixels goes in, and a label where one is asked for: no time stamp, no row number, so that a prompt and
seed give one file wherever they stand in a table.

    PNG    chunks `parameters`, `imagegen` (JSON) and `XML:com.adobe.xmp`
    JPEG   EXIF's UserComment (the parameters, where A1111 writes and reads them) and XMP (JSON inside)
    WebP   the same
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .errors import InvalidJob
from .provenance import Label

EXTENSIONS = {"png": "png", "jpeg": "jpg", "webp": "webp"}
DEFAULT_QUALITY = {"jpeg": 90, "webp": 90}
# Level 1 takes 1.4 to 4 ms for a 256x256 picture where level 6 takes 2.5 to 20, for 10 to 30 % more bytes.
PNG_LEVEL = 1
WEBP_METHOD = 2  # 0 (fast) to 6 (small)
JPEG_SEGMENT = 65_533  # bytes
EXIF_IFD, USER_COMMENT = 0x8769, 0x9286  # tags, and types of their values
LONG, UNDEFINED = 4, 7
LATIN = re.compile(r"[\n\x20-\x7e\xa0-\xff]*")  # what a tEXt chunk may hold


class EncodeFailed(Exception):
    """The picture cannot be written in this format."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """Args:
        image_format: png, jpeg or webp.
        quality: 1 to 100 for jpeg and webp, None for their default (90) and for png.

    Raises:
        InvalidJob: another format, or a quality out of range.
    """

    image_format: str
    quality: int | None = None

    def __post_init__(self) -> None:
        if self.image_format not in EXTENSIONS:
            raise InvalidJob(f"image format {self.image_format!r} is not known; give one of: {', '.join(EXTENSIONS)}")
        if self.quality is not None and self.image_format == "png":
            raise InvalidJob("png has no quality: it keeps every pixel; leave quality out, or give jpeg or webp")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise InvalidJob(f"quality must be from 1 to 100, got {self.quality}")

    @property
    def extension(self) -> str:
        return EXTENSIONS[self.image_format]

    @property
    def used_quality(self) -> int | None:
        return self.quality or DEFAULT_QUALITY.get(self.image_format)

    def encode(self, image: Image.Image, label: Label | None = None) -> bytes:
        """Raises:
        EncodeFailed: with the reason.
        """
        buffer = io.BytesIO()
        try:
            plain = image
            if image.mode != "RGB" or image.info:
                plain = image.convert("RGB")  # always a copy
                plain.info = {}  # Pillow would write what the picture was loaded with
            if self.image_format == "png":
                plain.save(buffer, "PNG", compress_level=PNG_LEVEL, pnginfo=png_chunks(label))
            elif self.image_format == "jpeg":
                plain.save(buffer, "JPEG", quality=self.used_quality, **jpeg_segments(label))
            else:
                plain.save(buffer, "WEBP", quality=self.used_quality, method=WEBP_METHOD, **exif_and_xmp(label))
        except (MemoryError, EncodeFailed):
            raise
        except Exception as error:
            raise EncodeFailed(f"the picture cannot be written as {self.image_format}: {error}") from error
        return buffer.getvalue()


def png_chunks(label: Label | None) -> PngInfo | None:
    """In the order in which the page of the server writes them into a download."""
    if label is None:
        return None
    chunks = PngInfo()
    for keyword, text in (("parameters", label.parameters), ("imagegen", label.facts)):
        if text is not None and LATIN.fullmatch(text):
            chunks.add_text(keyword, text)
        elif text is not None:
            chunks.add_itxt(keyword, text)
    chunks.add_itxt("XML:com.adobe.xmp", label.xmp)
    return chunks


def exif_and_xmp(label: Label | None) -> dict[str, Any]:
    """Arguments of Pillow's writers."""
    if label is None:
        return {}
    found: dict[str, Any] = {"xmp": label.xmp_with_facts.encode()}
    if label.parameters is not None:
        found["exif"] = exif_comment(label.parameters)
    return found


def exif_comment(text: str) -> bytes:
    """EXIF that holds nothing but a UserComment (EXIF 2.32, 4.6.5), big-endian as the text inside is."""
    comment = b"UNICODE\0" + text.encode("utf-16-be")
    header = struct.pack(">6s2sHI", b"Exif\0\0", b"MM", 42, 8)
    directory = struct.pack(">HHHIII", 1, EXIF_IFD, LONG, 1, 26, 0)
    return header + directory + struct.pack(">HHHIII", 1, USER_COMMENT, UNDEFINED, len(comment), 44, 0) + comment


def jpeg_segments(label: Label | None) -> dict[str, Any]:
    """Raises:
    EncodeFailed: they are longer than JPEG allows.
    """
    found = exif_and_xmp(label)
    longest = max((len(data) + len(b"http://ns.adobe.com/xap/1.0/\0") for data in found.values()), default=0)
    if longest > JPEG_SEGMENT:
        raise EncodeFailed(
            f"the prompt makes {longest:,} bytes of metadata, and a JPEG holds {JPEG_SEGMENT:,} in one piece; shorten "
            "it, or take png or webp, or less metadata"
        )
    return found
