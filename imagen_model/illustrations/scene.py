"""What a picture shows, as data: caption, drawing and checker all read the same specification.

Places are in cells of a 16x16 grid laid over the picture, whatever its size in pixels, so that the
smallest model draws an object on whole pixels and a large one draws the same scene finer.
"""

from __future__ import annotations

from dataclasses import dataclass

GRID = 16

SHAPES = ("circle", "square", "triangle", "cross", "heart", "ring")

# sRGB, 0 to 255.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "orange": (250, 140, 20),
    "yellow": (250, 220, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 220),
    "purple": (140, 50, 180),
    "black": (20, 20, 20),
    "white": (250, 250, 250),
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (250, 250, 250),
    "gray": (150, 150, 150),
    "black": (20, 20, 20),
    "light blue": (170, 215, 245),
    "beige": (235, 220, 190),
}
# An object is not drawn on a background that it could be taken for.
UNFIT_BACKGROUNDS = {"white": {"white", "beige"}, "black": {"black"}}

TIMES = ("day", "sunset", "night")
PLACES = ("beach", "mountains", "meadow", "snow")
RELATIONS = ("left of", "right of", "above", "below")

# Pairs of colour and shape that no training picture holds, in any category: each colour and each shape
# is seen often, these pairs never, so that a right picture of one shows that the two were put together.
HELD_OUT = frozenset(
    {
        ("red", "heart"),
        ("orange", "cross"),
        ("yellow", "triangle"),
        ("green", "circle"),
        ("blue", "ring"),
        ("purple", "square"),
    }
)


@dataclass(frozen=True, slots=True)
class DrawnObject:
    """One object; `x`, `y` is its upper left corner and `size` its side, in cells of the 16x16 grid."""

    shape: str
    colour: str
    x: int
    y: int
    size: int


@dataclass(frozen=True, slots=True)
class ObjectScene:
    """Objects on a plain background."""

    background: str
    objects: tuple[DrawnObject, ...]


@dataclass(frozen=True, slots=True)
class Landscape:
    """A place at a time of day. `celestial_x` is the column of the sun or moon, `palms` those of palm trees."""

    place: str
    time: str
    celestial_x: int
    palms: tuple[int, ...] = ()


Scene = ObjectScene | Landscape


def backgrounds_for(colours: set[str]) -> list[str]:
    """The backgrounds on which objects of these colours stand out."""
    unfit = set().union(*(UNFIT_BACKGROUNDS.get(colour, set()) for colour in colours))
    return [name for name in BACKGROUNDS if name not in unfit]
