"""A picture that is to be colorized: its luma alone, in Pillow's "L", whatever it was read from.

Its sides are at most those of the picture that is asked for: a larger one is averaged down to them first, by
`RequestRules.resolve`, so that one file gives one picture from Python, a table and the API alike.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field, replace

from PIL import Image, ImageOps, UnidentifiedImageError

from .refusals import ErrorCode, InvalidRequest

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
LARGEST_SIDE = 8192  # pixels
LARGEST_FILE = 2**25  # bytes


@dataclass(frozen=True, slots=True)
class GreyPicture:
    """Args:
    width, height: in pixels.
    luma: a byte a pixel, line by line.
    sha256: hex, of the file that it was read from; of the luma where there was no file.

    Raises:
        ValueError: another number of bytes than of pixels.
    """

    width: int
    height: int
    luma: bytes = field(repr=False)
    sha256: str

    def __post_init__(self) -> None:
        if len(self.luma) != self.width * self.height or not self.luma:
            raise ValueError(f"{self.width}x{self.height} pixels need as many bytes of luma, got {len(self.luma)}")

    @classmethod
    def read(cls, data: bytes) -> GreyPicture:
        """The picture in a file's bytes: PNG, JPEG, WebP, GIF, BMP or TIFF, of an animation the first.

        Raises:
            InvalidRequest: `invalid_image`; the message says what is wrong and the remedy.
        """
        if len(data) > LARGEST_FILE:
            raise refused(f"has {len(data):,} bytes, at most {LARGEST_FILE:,} are read; make it smaller")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if max(image.size) > LARGEST_SIDE:
                    width, height = image.size
                    raise refused(f"has {width}x{height} pixels, at most {LARGEST_SIDE} a side are taken; scale it")
                return cls.of(image, hashlib.sha256(data).hexdigest())
        except InvalidRequest:
            raise
        except UnidentifiedImageError:  # its text names an address in memory, which no two runs share
            raise refused(f"is in none of the formats that are read ({', '.join(FORMATS)}); convert it") from None
        except Exception as error:  # Pillow raises many kinds, SyntaxError among them
            raise refused(f"cannot be read ({type(error).__name__}: {error}); replace it") from None

    @classmethod
    def of(cls, image: Image.Image, sha256: str | None = None) -> GreyPicture:
        """Of an opened picture of any mode; what is transparent is laid on white, and a camera's turn is applied.

        Raises:
            InvalidRequest: its mode does not say what white is.
        """
        image = ImageOps.exif_transpose(image)
        if image.mode in {"I", "F"}:
            raise refused(f"is of mode {image.mode}, which does not say what white is; convert it to 8 or 16 bits")
        if image.mode.startswith("I;16"):  # of which Pillow's own conversion keeps what is below 256
            high = image.tobytes("raw", "I;16")[1::2]
            grey = Image.frombytes("L", image.size, high)
        elif image.has_transparency_data:
            over = image.convert("RGBA")
            grey = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("L")
        else:
            grey = image.convert("L")
        luma = grey.tobytes()
        told = sha256 or hashlib.sha256(f"{grey.width}x{grey.height}\n".encode() + luma).hexdigest()
        return cls(grey.width, grey.height, luma, told)

    def image(self) -> Image.Image:
        """As Pillow's "L"."""
        return Image.frombytes("L", (self.width, self.height), self.luma)

    def at_most(self, width: int, height: int) -> GreyPicture:
        """Averaged down, each way by itself, where it is larger."""
        size = (min(width, self.width), min(height, self.height))
        if size == (self.width, self.height):
            return self
        smaller = self.image().resize(size, Image.Resampling.BOX)
        return replace(self, width=size[0], height=size[1], luma=smaller.tobytes())


def refused(what: str) -> InvalidRequest:
    return InvalidRequest(ErrorCode.INVALID_IMAGE, f"the grey picture {what}")
