"""What a picture of the drawn world shows, as a specification: caption, drawing and checker all read it.

Places and sizes count in units of a 32nd of the picture's side, so the same scene can be drawn at any size.
Some combinations occur in no training picture and are asked for in the exam alone: looks (a colour on a kind),
pairs of kinds in one picture, and weather in places.
"""

from __future__ import annotations

from dataclasses import dataclass

from .kinds import KINDS, SYMMETRIC
from .palette import BACKGROUNDS, COLOURS

GRID = 32
SMALLEST, LARGEST = 9, 28
# A thing is called small up to the first and large from the second.
SMALL, LARGE = 11, 18
STYLES = ("flat", "ink", "crayon")
RELATIONS = ("left of", "right of", "above", "below")
PLACES = ("beach", "mountains", "city", "forest", "sea", "space", "meadow", "snow")
TIMES = ("day", "sunset", "night")
WEATHERS = ("clear", "cloudy", "rain", "snow", "fog")
LAYOUTS = 6
# In space there is neither weather nor a time of day.
SKIES = {
    place: (("night", "clear"),) if place == "space" else tuple((t, w) for t in TIMES for w in WEATHERS)
    for place in PLACES
}

Look = tuple[str, str]
LOOKS: tuple[Look, ...] = tuple((colour, kind) for kind in KINDS for colour in COLOURS)
# One colour of each kind, chosen so that every colour is held out of four or five kinds.
HELD_OUT_LOOKS = frozenset((tuple(COLOURS)[(5 * index + 3) % len(COLOURS)], kind) for index, kind in enumerate(KINDS))
SEEN_LOOKS = tuple(look for look in LOOKS if look not in HELD_OUT_LOOKS)
# Two pairs of each kind, 11 and 19 places further on in the list.
HELD_OUT_KIND_PAIRS = frozenset(
    frozenset((kind, KINDS[(index + step) % len(KINDS)])) for index, kind in enumerate(KINDS) for step in (11, 19)
)
HELD_OUT_WEATHER = frozenset(
    (
        ("beach", "fog"),
        ("mountains", "rain"),
        ("city", "snow"),
        ("forest", "cloudy"),
        ("sea", "snow"),
        ("meadow", "fog"),
    )
)


@dataclass(frozen=True, slots=True)
class Thing:
    """An object in the square box of side `size` whose upper left is (x, y), in 32nds of the picture."""

    kind: str
    colour: str
    x: int
    y: int
    size: int
    mirrored: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.colour not in COLOURS:
            raise ValueError(f"no such object: {self.colour} {self.kind}; kinds: {KINDS}; colours: {tuple(COLOURS)}")
        if not SMALLEST <= self.size <= LARGEST:
            raise ValueError(f"an object's size must be {SMALLEST} to {LARGEST}, got {self.size}")
        if not (0 <= self.x <= GRID - self.size and 0 <= self.y <= GRID - self.size):
            raise ValueError(f"an object of size {self.size} at ({self.x}, {self.y}) leaves the {GRID}x{GRID} picture")
        if self.mirrored and self.kind in SYMMETRIC:
            raise ValueError(f"a {self.kind} looks the same mirrored: mirrored must be False")

    @property
    def look(self) -> Look:
        return (self.colour, self.kind)

    @property
    def size_word(self) -> str:
        return "small" if self.size <= SMALL else "large" if self.size >= LARGE else "medium"

    @property
    def centre(self) -> tuple[float, float]:
        return (self.x + self.size / 2, self.y + self.size / 2)


@dataclass(frozen=True, slots=True)
class Still:
    """One to five things before a plain background. `seed` chooses the style's texture."""

    background: str
    things: tuple[Thing, ...]
    style: str = "flat"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.background not in BACKGROUNDS:
            raise ValueError(f"no such background: {self.background!r}; there are {tuple(BACKGROUNDS)}")
        if not 1 <= len(self.things) <= 5:
            raise ValueError(f"a still has 1 to 5 things, got {len(self.things)}")
        check_style(self.style, self.seed)


@dataclass(frozen=True, slots=True)
class View:
    """A place under a sky, with palm trees (on a beach) and at most two things in it.

    `layout` chooses where hills, trees, houses and the sun stand; `flipped` turns it over; `palms` are the palms'
    places from the left, in 32nds.
    """

    place: str
    time: str
    weather: str
    layout: int
    flipped: bool = False
    palms: tuple[int, ...] = ()
    things: tuple[Thing, ...] = ()
    style: str = "flat"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.place not in PLACES:
            raise ValueError(f"no such place: {self.place!r}; there are {PLACES}")
        if (self.time, self.weather) not in SKIES[self.place]:
            raise ValueError(f"{self.place} has no sky {(self.time, self.weather)}; it has {SKIES[self.place]}")
        if not 0 <= self.layout < LAYOUTS:
            raise ValueError(f"layout must be 0 to {LAYOUTS - 1}, got {self.layout}")
        if self.palms and self.place != "beach":
            raise ValueError(f"palms grow on the beach alone, not in {self.place}")
        if len(self.things) > 2:
            raise ValueError(f"a view has at most 2 things, got {len(self.things)}")
        check_style(self.style, self.seed)


Scene = Still | View


def check_style(style: str, seed: int) -> None:
    if style not in STYLES:
        raise ValueError(f"no such style: {style!r}; there are {STYLES}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"a scene's seed must be 0 to 2**32 - 1, got {seed}")


def held_out(scene: Scene) -> bool:
    """Whether the scene shows a combination that no training picture may show."""
    kinds = [thing.kind for thing in scene.things]
    pairs = {frozenset((one, other)) for index, one in enumerate(kinds) for other in kinds[:index]}
    if any(thing.look in HELD_OUT_LOOKS for thing in scene.things) or pairs & HELD_OUT_KIND_PAIRS:
        return True
    return isinstance(scene, View) and (scene.place, scene.weather) in HELD_OUT_WEATHER


def relation_between(first: Thing, second: Thing) -> str:
    """How `first` stands to `second`, along the axis of the larger distance of their centres."""
    across, down = first.centre[0] - second.centre[0], first.centre[1] - second.centre[1]
    if abs(across) >= abs(down):
        return "left of" if across < 0 else "right of"
    return "above" if down < 0 else "below"
