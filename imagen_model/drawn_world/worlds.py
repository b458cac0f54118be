"""Which scenes occur: the mix that training draws from, without the held-out combinations, and single categories."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache

import numpy as np

from .backdrops import lay_land
from .kinds import SYMMETRIC
from .palette import BACKGROUNDS, BACKGROUNDS_OF, COLOURS
from .scene import (
    GRID,
    HELD_OUT_KIND_PAIRS,
    HELD_OUT_LOOKS,
    HELD_OUT_WEATHER,
    LAYOUTS,
    PLACES,
    RELATIONS,
    SEEN_LOOKS,
    SKIES,
    STYLES,
    Look,
    Scene,
    Still,
    Thing,
    View,
)

# Shares of training scenes, in per cent.
MIX = {"single": 26, "counted": 14, "pair": 22, "three": 8, "view": 18, "view with a thing": 12}
ON_GROUND: dict[str, tuple[str, ...]] = {
    "beach": (
        "umbrella",
        "chair",
        "dog",
        "cat",
        "duck",
        "snail",
        "car",
        "bicycle",
        "hat",
        "guitar",
        "bottle",
        "cactus",
    ),
    "mountains": ("house", "tree", "car", "train", "bicycle", "rabbit", "dog", "flower", "cat", "mushroom"),
    "city": ("car", "bus", "bicycle", "train", "dog", "cat", "tree", "chair", "clock", "umbrella"),
    "forest": ("house", "mushroom", "rabbit", "snail", "dog", "cat", "flower", "car", "guitar", "lamp"),
    "meadow": ("house", "tree", "rabbit", "dog", "cat", "flower", "mushroom", "snail", "bicycle", "table", "duck"),
    "snow": ("house", "rabbit", "dog", "cat", "train", "car", "lamp", "rocket", "tree", "chair"),
}
IN_SKY = ("bird", "plane", "butterfly")
AFLOAT = ("boat", "duck", "octopus", "fish")
IN_SPACE = ("rocket", "octopus", "car", "cat", "book", "key", "chair", "cup", "guitar", "clock")
# Least distance in RGB between a thing and every part of the place behind it.
LEAST_VIEW_CONTRAST = 70.0


def random_scene(rng: random.Random) -> Scene:
    """A training scene: never one that `scene.held_out` names."""
    category = rng.choices(list(MIX), list(MIX.values()))[0]
    match category:
        case "single":
            return single(rng, rng.choice(SEEN_LOOKS))
        case "counted":
            return counted(rng, rng.choice(SEEN_LOOKS), rng.randint(2, 5))
        case "pair":
            return pair(rng, *two_looks(rng), rng.choice(RELATIONS))
        case "three":
            return three(rng, three_looks(rng))
    place, time, weather = random_sky(rng)
    return view(rng, place, time, weather, with_thing=category == "view with a thing")


def any_style(rng: random.Random) -> str:
    return rng.choice(STYLES)


def place_thing(rng: random.Random, look: Look, x: int, y: int, size: int, mirrored: bool | None = None) -> Thing:
    turned = rng.random() < 0.5 if mirrored is None else mirrored
    return Thing(look[1], look[0], x, y, size, turned and look[1] not in SYMMETRIC)


def fitting_background(rng: random.Random, colours: set[str]) -> str:
    """A background on which all of these colours can be told."""
    allowed = [name for name in BACKGROUNDS if all(name in BACKGROUNDS_OF[colour] for colour in colours)]
    return rng.choice(allowed)


def compatible(colours: set[str]) -> bool:
    return bool(set.intersection(*(set(BACKGROUNDS_OF[colour]) for colour in colours)))


def two_looks(rng: random.Random) -> tuple[Look, Look]:
    """Two seen looks of different kinds and colours that may stand together in training."""
    while True:
        first, second = rng.choice(SEEN_LOOKS), rng.choice(SEEN_LOOKS)
        if may_meet(first, second) and frozenset((first[1], second[1])) not in HELD_OUT_KIND_PAIRS:
            return first, second


def may_meet(first: Look, second: Look) -> bool:
    return first[0] != second[0] and first[1] != second[1] and compatible({first[0], second[0]})


def three_looks(rng: random.Random) -> tuple[Look, Look, Look]:
    while True:
        first, second = two_looks(rng)
        third = rng.choice(SEEN_LOOKS)
        apart = all(
            may_meet(third, one) and frozenset((third[1], one[1])) not in HELD_OUT_KIND_PAIRS for one in (first, second)
        )
        if apart and compatible({first[0], second[0], third[0]}):
            return first, second, third


def single(rng: random.Random, look: Look, size: int | None = None) -> Still:
    """One thing, near the middle or clearly elsewhere."""
    size = size or rng.choice((10, 11, 13, 14, 15, 16, 18, 20, 22, 24))
    room = GRID - size
    if rng.random() < 0.6:
        x, y = (min(room - 1, max(1, room // 2 + rng.randint(-2, 2))) for _ in range(2))
    else:
        x, y = rng.randint(1, room - 1), rng.randint(1, room - 1)
    return still(rng, (place_thing(rng, look, x, y, size),))


def still(rng: random.Random, things: tuple[Thing, ...]) -> Still:
    background = fitting_background(rng, {thing.colour for thing in things})
    return Still(background, things, any_style(rng), rng.getrandbits(16))


def counted(rng: random.Random, look: Look, count: int) -> Still:
    """`count` (2 to 5) things of one look and size, in rows or loosely, none touching another."""
    rows_of_three = count == 5 or (count == 3 and rng.random() < 0.3)
    size = 9 if rows_of_three else rng.randint(9, 14 if count == 2 else 13)
    starts = (1, 11, 22) if rows_of_three else (1, 17)
    cells = rng.sample([(x, y) for y in starts for x in starts], count)
    room = 1 if rows_of_three else 14 - size
    mirrored = rng.random() < 0.5
    things = []
    for x, y in sorted(cells, key=lambda cell: cell[::-1]):
        # Only the middle one of three has room to move; neighbours stay a 32nd apart at least.
        right, down = (rng.randint(0, 0 if rows_of_three and start != 11 else room) for start in (x, y))
        things.append(place_thing(rng, look, x + right, y + down, size, mirrored))
    return still(rng, tuple(things))


def pair(rng: random.Random, first: Look, second: Look, relation: str) -> Still:
    """`first` stands in that relation to `second`, with a gap between them."""
    big = rng.random() < 0.25
    sizes = (18, rng.choice((9, 10))) if big else (rng.randint(10, 14), rng.randint(10, 14))
    if big and rng.random() < 0.5:
        sizes = (sizes[1], sizes[0])
    ordered = sizes if relation in ("left of", "above") else (sizes[1], sizes[0])
    slack = GRID - 4 - sum(ordered)
    start = rng.randint(0, slack)
    along = (1 + start, 1 + start + ordered[0] + 2 + rng.randint(0, slack - start))
    if relation in ("right of", "below"):
        along = (along[1], along[0])
    things = []
    for look, size, position in zip((first, second), sizes, along, strict=True):
        across = max(1, min(GRID - 1 - size, (GRID - size) // 2 + rng.randint(-3, 3)))
        x, y = (position, across) if relation in ("left of", "right of") else (across, position)
        things.append(place_thing(rng, look, x, y, size))
    return still(rng, tuple(things))


def three(rng: random.Random, looks: tuple[Look, Look, Look]) -> Still:
    """Three different things in three of the four quarters."""
    size = rng.randint(10, 13)
    quarters = rng.sample(range(4), 3)
    room = 14 - size
    things = [
        place_thing(rng, look, 1 + q % 2 * 16 + rng.randint(0, room), 1 + q // 2 * 16 + rng.randint(0, room), size)
        for look, q in zip(looks, quarters, strict=True)
    ]
    return still(rng, tuple(things))


def random_sky(rng: random.Random) -> tuple[str, str, str]:
    """A place, a time and a weather that occur in training; clear skies and sunsets more often than the rest."""
    while True:
        place = rng.choice(PLACES)
        time, weather = rng.choice(SKIES[place])
        if rng.random() < 0.4 and place != "space":
            weather = "clear"
        if (place, weather) not in HELD_OUT_WEATHER:
            return place, time, weather


def view(
    rng: random.Random,
    place: str,
    time: str,
    weather: str,
    with_thing: bool = False,
    palms: bool | None = None,
    look: Look | None = None,
) -> View:
    """A landscape; `look` asks for that thing in it, `with_thing` for one that suits the place."""
    grown = place == "beach" and (rng.random() < 0.65 if palms is None else palms)
    columns = rng.choice(((3,), (14,), (3, 13), (1, 15), (2, 14))) if grown else ()
    # Ink outlines things, not places: an empty place in ink would look flat.
    style = any_style(rng) if with_thing else rng.choice(("flat", "crayon"))
    flipped = rng.random() < 0.5
    empty = View(place, time, weather, rng.randrange(LAYOUTS), flipped, columns, (), style, rng.getrandbits(16))
    if not with_thing:
        return empty
    chosen = add_thing(rng, empty, look)
    return chosen or view(rng, place, time, weather, True, palms, look)


def add_thing(rng: random.Random, empty: View, look: Look | None) -> View | None:
    """The view with one thing, or None where no colour of a seen look shows against it."""
    zone = rng.choice(zones(empty.place))
    if look:
        fitting = [one for one in zones(empty.place) if look[1] in kinds_in(one, empty.place)]
        zone = rng.choice(fitting)
    size = rng.choice((10, 11, 12))
    columns = [x for x in range(2, 31 - size) if not any(abs(x - (4 + palm) + 3) < 8 for palm in empty.palms)]
    x = rng.choice(columns or [10 if len(empty.palms) > 1 else 18])
    y = {"sky": rng.randint(1, 5), "ground": 31 - size - rng.randint(0, 2), "water": rng.randint(12, 15), "space": 10}[
        zone
    ]
    if zone == "space":
        y = rng.randint(4, 27 - size)
    if zone == "water" and empty.place == "beach":
        y = 20 - size + rng.randint(0, 1)
    if zone == "water" and empty.place == "sea":
        y = rng.randint(12, 20)
    behind = backdrop_colours(empty.place, empty.time, empty.weather, empty.layout, empty.flipped, empty.palms)
    around = behind[y // 2 : (y + size + 1) // 2, x // 2 : (x + size + 1) // 2].reshape(-1, 3)
    kind = look[1] if look else rng.choice(kinds_in(zone, empty.place))
    shown = [
        colour
        for colour, value in COLOURS.items()
        if float(np.sqrt(((around - np.asarray(value, np.float32)) ** 2).sum(-1)).min()) >= LEAST_VIEW_CONTRAST
        and ((colour, kind) not in HELD_OUT_LOOKS if look is None else colour == look[0])
    ]
    if not shown:
        return None
    thing = place_thing(rng, (rng.choice(shown), kind), x, y, size)
    return replace(empty, things=(thing,))


def zones(place: str) -> tuple[str, ...]:
    return {"beach": ("ground", "water", "sky"), "sea": ("water", "water", "sky"), "space": ("space",)}.get(
        place, ("ground", "ground", "sky")
    )


def kinds_in(zone: str, place: str) -> tuple[str, ...]:
    if zone == "ground":
        return ON_GROUND[place]
    return {"sky": IN_SKY, "water": AFLOAT[:1] if place == "beach" else AFLOAT, "space": IN_SPACE}[zone]


def zone_of(view: View) -> str:
    """Where the view's first thing is: "sky", "ground", "water" or "space"."""
    kind = view.things[0].kind
    if view.place == "space":
        return "space"
    if kind in IN_SKY:
        return "sky"
    return "water" if view.place == "sea" or kind == "boat" else "ground"


@lru_cache(maxsize=8192)
def backdrop_colours(
    place: str, time: str, weather: str, layout: int, flipped: bool, palms: tuple[int, ...]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(16, 16, 3) mean colours of the empty place."""
    canvas = lay_land(View(place, time, weather, layout, flipped, palms), GRID)
    return canvas.reshape(16, 2, 16, 2, 3).mean((1, 3))
