"""Steps that a finished picture goes through, by name: "denoise, sharpen=0.8, upscale=512x512".

`colorize` is the one that the model does itself, while it draws: the picture is then given as a grey one, and this step
comes first.

What is unusual: a step is whole numbers throughout or Pillow's own filter, so that the bytes depend on the picture
and the step alone, on every machine. Written in order, applied in order, each step at most once.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from PIL import Image, ImageFilter

if TYPE_CHECKING:
    import numpy as np

MAX_UPSCALED = 8192  # pixels a side
MAX_SHARPEN = 5.0
SPACES = " \t\r\n"
COLORIZE = "colorize"
FORMS = {COLORIZE: COLORIZE, "denoise": "denoise", "sharpen": "sharpen=AMOUNT", "upscale": "upscale=WIDTHxHEIGHT"}
FINISHING = ("denoise", "sharpen", "upscale")  # what pictures of any model can go through

RADIUS, SIGMA_PIXELS, SIGMA_COLOUR = 2, 1.5, 60.0  # of `denoise`; the last over the sum of |R|, |G| and |B| distances
BAND = 128  # lines that are denoised at a time: memory for them, not for the picture


@dataclass(frozen=True, slots=True)
class Colorize:
    """Done by the model, under the grey picture's luma; see `colorize`."""

    name: ClassVar[str] = COLORIZE

    @classmethod
    def parse(cls, value: str | None) -> Colorize:
        if value is not None:
            raise ValueError(f"colorize takes no value, got {value!r:.40}; write colorize alone")
        return cls()

    def apply(self, image: Image.Image) -> Image.Image:
        return image


@dataclass(frozen=True, slots=True)
class Denoise:
    """The bilateral filter (Tomasi and Manduchi 1998): grain goes, edges stay."""

    name: ClassVar[str] = "denoise"

    @classmethod
    def parse(cls, value: str | None) -> Denoise:
        if value is not None:
            raise ValueError(f"denoise takes no value, got {value!r:.40}; write denoise alone")
        return cls()

    def apply(self, image: Image.Image) -> Image.Image:
        import numpy as np

        padded = np.pad(np.asarray(image, np.int32), ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)), mode="edge")
        lines = range(0, image.height, BAND)
        bands = [bilateral(padded[first : min(first + BAND, image.height) + 2 * RADIUS]) for first in lines]
        return Image.fromarray(np.concatenate(bands))


@dataclass(frozen=True, slots=True)
class Sharpen:
    """The unsharp mask with a radius of 2 pixels; an amount of 1 adds all of what a blur takes away."""

    amount: float
    name: ClassVar[str] = "sharpen"

    @classmethod
    def parse(cls, value: str | None) -> Sharpen:
        if value is None or re.fullmatch(r"(0|[1-9][0-9]{0,5})(\.[0-9]{1,2})?", value) is None:
            limits = f"a number from 0 to {MAX_SHARPEN:g} with at most two decimals"
            raise ValueError(f"sharpen needs {limits}, got {value!r:.40}; write sharpen=0.8")
        if float(value) > MAX_SHARPEN:
            raise ValueError(f"sharpen must be from 0 to {MAX_SHARPEN:g}, got {value}; give a smaller amount")
        return cls(float(value))

    def apply(self, image: Image.Image) -> Image.Image:
        return image.filter(ImageFilter.UnsharpMask(radius=2, percent=round(100 * self.amount), threshold=0))


@dataclass(frozen=True, slots=True)
class Upscale:
    """Lanczos. A smaller size is refused: it would throw pixels away under a name that promises more of them, and a
    model makes its smaller sizes itself, when they are asked for as the picture's own size."""

    width: int
    height: int
    name: ClassVar[str] = "upscale"

    @classmethod
    def parse(cls, value: str | None) -> Upscale:
        match = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", value or "")
        if match is None:
            raise ValueError(f"upscale needs a size in pixels, got {value!r:.40}; write upscale=512x512")
        width, height = int(match[1]), int(match[2])
        if max(width, height) > MAX_UPSCALED:
            raise ValueError(f"upscale must be at most {MAX_UPSCALED} pixels a side, got {value}; give a smaller size")
        return cls(width, height)

    def check(self, width: int, height: int, largest: int = MAX_UPSCALED) -> None:
        """Args:
        width, height: of the picture before the step.
        largest: side that the model's rules allow.

        Raises:
            ValueError: it would get smaller, or larger than is allowed.
        """
        wanted = f"upscale={self.width}x{self.height}"
        if self.width < width or self.height < height:
            raise ValueError(
                f"{wanted} is smaller than the picture, which has {width}x{height} pixels; give at least that, or ask "
                "for a picture of a smaller size"
            )
        if max(self.width, self.height) > largest:
            raise ValueError(f"{wanted} is more than the {largest} pixels a side allowed here; give a smaller size")

    def apply(self, image: Image.Image) -> Image.Image:
        self.check(*image.size)
        return image.resize((self.width, self.height), Image.Resampling.LANCZOS)


Step = Colorize | Denoise | Sharpen | Upscale
STEPS: tuple[type[Step], ...] = (Colorize, Denoise, Sharpen, Upscale)


def parse_steps(text: str) -> tuple[Step, ...]:
    """The steps of "denoise, sharpen=0.8, upscale=512x512".

    Raises:
        ValueError: a step is unknown, there twice, out of its place, or has a value that it does not take; the message
            names it, the limit and the remedy.
    """
    kinds = {kind.name: kind for kind in STEPS}
    found: list[Step] = []
    for part in text.split(","):
        name, equals, value = part.strip(SPACES).partition("=")
        kind = kinds.get(name)
        if kind is None:
            raise ValueError(f"there is no step {name!r:.40}; the steps are: {', '.join(FORMS.values())}")
        if any(isinstance(step, kind) for step in found):
            raise ValueError(f"{name} is there twice; give each step at most once")
        if kind is Colorize and found:
            raise ValueError(f"colorize comes after {found[-1].name}, which needs its picture; write colorize first")
        found.append(kind.parse(value if equals else None))
    return tuple(found)


def finished_size(text: str | None, width: int, height: int) -> tuple[int, int]:
    """Width and height of the picture after the steps of `text`, from those of the one that the model made."""
    steps = parse_steps(text) if text is not None else ()
    last = next((step for step in steps if isinstance(step, Upscale)), None)
    return (width, height) if last is None else (last.width, last.height)


def post_process(image: Image.Image, text: str | None) -> Image.Image:
    """The RGB picture after all steps of `text`; without steps, the picture itself.

    Raises:
        ValueError: as `parse_steps`, or the picture would get smaller.
    """
    for step in parse_steps(text) if text is not None else ():
        image = step.apply(image)
    return image


@cache
def colour_weights() -> tuple[int, ...]:
    """Of each sum of distances from 0 to 765, rounded to whole numbers, as are those of places."""
    return tuple(round(1024 * math.exp(-((d / SIGMA_COLOUR) ** 2) / 2)) for d in range(3 * 255 + 1))


def bilateral(padded: np.ndarray) -> np.ndarray:
    """(lines + 2 radius, columns + 2 radius, 3) int32 -> (lines, columns, 3) uint8.

    Sums stay below 2**31: 25 places x 2**6 x 2**10 x 255.
    """
    import numpy as np

    weights = np.array(colour_weights(), np.int32)
    lines, columns = padded.shape[0] - 2 * RADIUS, padded.shape[1] - 2 * RADIUS
    centre = padded[RADIUS : RADIUS + lines, RADIUS : RADIUS + columns]
    total, norm = np.zeros_like(centre), np.zeros((lines, columns, 1), np.int32)
    for down in range(2 * RADIUS + 1):
        for right in range(2 * RADIUS + 1):
            squared = (down - RADIUS) ** 2 + (right - RADIUS) ** 2
            near = round(64 * math.exp(-squared / (2 * SIGMA_PIXELS**2)))
            other = padded[down : down + lines, right : right + columns]
            weight = near * weights[np.abs(other - centre).sum(axis=2, keepdims=True)]
            total += weight * other
            norm += weight
    return ((total + norm // 2) // norm).astype(np.uint8)
