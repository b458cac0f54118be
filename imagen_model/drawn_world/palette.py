"""Colours by name, the tones derived from them, and which colour can be told from which background."""

from __future__ import annotations

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (218, 44, 48),
    "orange": (244, 132, 30),
    "yellow": (250, 206, 40),
    "green": (48, 156, 76),
    "blue": (38, 104, 210),
    "purple": (128, 62, 176),
    "pink": (246, 130, 180),
    "brown": (122, 76, 44),
    "black": (36, 34, 40),
    "white": (250, 250, 246),
    "gray": (134, 138, 146),
}
BACKGROUNDS: dict[str, Colour] = {
    "white": (254, 254, 252),
    "cream": (252, 238, 208),
    "light blue": (184, 218, 242),
    "light green": (198, 230, 188),
    "lavender": (222, 208, 240),
    "gray": (164, 167, 174),
    "dark blue": (28, 40, 92),
    "black": (24, 22, 28),
}
DARK_BACKGROUNDS = frozenset({"dark blue", "black"})
WOOD: Colour = (112, 78, 54)
GREEN: Colour = (64, 132, 66)
INK: Colour = (38, 34, 44)
CHALK: Colour = (236, 232, 220)
PAPER: Colour = (252, 247, 236)
# Nearer than this (in RGB) an object would fade into what lies behind it.
LEAST_CONTRAST, LEAST_DETAIL_CONTRAST = 95.0, 64.0


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with `share` of `other` in it, rounded."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return (red, green, blue)


def distance(colour: Colour, other: Colour) -> float:
    return sum((a - b) ** 2 for a, b in zip(colour, other, strict=True)) ** 0.5


def dark_tone(colour: Colour) -> Colour:
    """A deeper tone; of near black a lighter one, which alone would show."""
    return (88, 86, 98) if sum(colour) < 150 else mix(colour, (40, 24, 50), 0.36)


def light_tone(colour: Colour) -> Colour:
    """A paler tone; of near white a greyer one, which alone would show."""
    if sum(colour) < 150:
        return (122, 122, 134)
    return (206, 208, 216) if sum(colour) > 700 else mix(colour, (255, 255, 250), 0.5)


def tones(colour: Colour, ink: Colour, line: Colour) -> tuple[Colour, ...]:
    """Colours of `Tone.BODY` to `Tone.GREEN`, in order."""
    return (colour, dark_tone(colour), light_tone(colour), line, ink, WOOD, GREEN)


def readable(colour: str, background: str) -> bool:
    """Whether an object of this colour, its paler and deeper parts too, can be told from a plain background."""
    body, behind = COLOURS[colour], BACKGROUNDS[background]
    details = min(distance(light_tone(body), behind), distance(dark_tone(body), behind))
    return distance(body, behind) >= LEAST_CONTRAST and details >= LEAST_DETAIL_CONTRAST


BACKGROUNDS_OF = {colour: tuple(name for name in BACKGROUNDS if readable(colour, name)) for colour in COLOURS}
