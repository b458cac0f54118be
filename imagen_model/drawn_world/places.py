"""What stands where in each place, as named layers of outlines on a sheet of 100 by 100, back to front.

A layout's own random numbers, seeded by place and number, choose positions; nothing here knows of colours.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import sin, tau

from .outlines import Outline, arc, box, ellipse, polygon, spikes, stroke

Layer = tuple[str, list[Outline]]
HORIZON = {
    "beach": 46, "mountains": 60, "city": 66, "forest": 56, "sea": 44, "space": 60, "meadow": 56, "snow": 56,
}  # fmt: skip


def sky(rng: random.Random, place: str, body: str) -> list[Layer]:
    """The sky and what shines in it: `body` is "sun", "setting sun", "moon" or "none"."""
    layers: list[Layer] = [("sky", [box(0, 0, 100, 100)])]
    horizon = HORIZON[place]
    x: float = rng.choice((18, 26, 34, 66, 74, 82))
    if body == "sun":
        layers += [("glow", [ellipse(x, 17, 13)]), ("sun", [ellipse(x, 17, 9)])]
    elif body == "setting sun":
        y = horizon - (1 if place in ("beach", "sea") else 15)
        x = 50 + (x - 50) * 0.7
        layers += [("glow", [ellipse(x, y, 18)]), ("sun", [ellipse(x, y, 12)])]
    elif body == "moon":
        stars = [
            ellipse(rng.uniform(2, 98), rng.uniform(2, horizon - 8), rng.choice((0.7, 0.9, 1.2))) for _ in range(26)
        ]
        moon = arc(x, 17, 10, 51, 309) + tuple(reversed(arc(x + 4.4, 17, 8, 76.3, 283.7)))
        layers += [("star", stars), ("moon", [moon])]
    return layers


def wavy(rng: random.Random, y: float, height: float, waves: float) -> Outline:
    """Everything below a gently rolling line at `y`."""
    phase, second = rng.uniform(0, tau), rng.uniform(0, tau)
    line = [
        (x, y + height * (0.65 * sin(tau * waves * x / 100 + phase) + 0.35 * sin(tau * 2.1 * waves * x / 100 + second)))
        for x in range(-2, 104, 2)
    ]
    return (*line, (104, 104), (-4, 104))


def crests(rng: random.Random, top: float, bottom: float, count: int) -> list[Outline]:
    """Short light strokes on water, longer towards the front."""
    strokes = []
    for _ in range(count):
        y = rng.uniform(top, bottom)
        length = 4 + 9 * (y - top) / (bottom - top)
        x = rng.uniform(0, 100 - length)
        strokes += stroke(1.2, (x, y), (x + length, y))
    return strokes


def beach(rng: random.Random) -> list[Layer]:
    shore = wavy(rng, 68, 2.5, 0.8)
    foam = tuple((x, y - 3.0) for x, y in shore)
    return [
        ("water", [box(0, 46, 100, 100)]),
        ("crest", crests(rng, 49, 62, 9)),
        ("foam", [foam]),
        ("sand", [shore]),
        ("pebble", [ellipse(rng.uniform(4, 96), rng.uniform(78, 97), 1.3, 0.8) for _ in range(7)]),
    ]


def mountains(rng: random.Random) -> list[Layer]:
    far = [peak(x, rng.uniform(30, 38), rng.uniform(20, 28), 66) for x in (0, 30, 62, 96)]
    layers: list[Layer] = [("far rock", far)]
    for x in sorted((rng.uniform(12, 30), rng.uniform(44, 58), rng.uniform(72, 92)), key=lambda _: rng.random()):
        top, half = rng.uniform(16, 32), rng.uniform(24, 32)
        base = 72
        slope = half / (base - top)
        depth = (base - top) * 0.32
        cap = polygon(
            (x, top), (x + slope * depth, top + depth), (x + slope * depth * 0.45, top + depth * 0.72),
            (x + slope * depth * 0.1, top + depth * 1.15), (x - slope * depth * 0.4, top + depth * 0.75),
            (x - slope * depth, top + depth),
        )  # fmt: skip
        shade = polygon((x, top), (x + half, base), (x + half * 0.15, base), (x - half * 0.1, top + depth * 1.4))
        layers += [("rock", [peak(x, top, half, base)]), ("rock shade", [shade]), ("cap", [cap])]
    hills: list[Layer] = [("hill", [wavy(rng, 66, 3, 1.1)]), ("grass", [wavy(rng, 78, 2.5, 0.8)])]
    pines = [pine(x, 72 + rng.uniform(0, 3), 8) for x in (rng.uniform(4, 18), rng.uniform(20, 34), rng.uniform(70, 96))]
    return [*layers, hills[0], ("pine", [o for one in pines for o in one]), hills[1]]


def peak(x: float, top: float, half: float, base: float) -> Outline:
    return ((x, top), (x + half, base), (x - half, base))


def pine(x: float, foot: float, size: float) -> list[Outline]:
    """A fir of three tiers, 2 `size` high."""
    tiers = ((0.0, 0.9, 0.36), (0.55, 1.4, 0.52), (1.0, 2.0, 0.68))
    return [
        polygon(
            (x, foot - 2 * size + a * size),
            (x + w * size, foot - 2 * size + b * size),
            (x - w * size, foot - 2 * size + b * size),
        )
        for a, b, w in tiers
    ]


def city(rng: random.Random) -> list[Layer]:
    layers: list[Layer] = []
    x = -4.0
    while x < 100:
        width = rng.uniform(9, 15)
        layers.append(("far tower", [box(x, rng.uniform(26, 44), x + width, 80)]))
        x += width - 1
    x = -3.0
    shades = ("tower", "second tower")
    while x < 100:
        width, top = rng.choice((13, 16, 19)), rng.choice((24, 34, 40, 48))
        shade = shades[len(layers) % 2]
        layers.append((shade, [box(x, top, x + width, 80), *antenna(rng, x + width / 2, top)]))
        windows = [
            box(x + 2.4 + 4.2 * column, y, x + 4.8 + 4.2 * column, y + 3)
            for column in range(int((width - 3) // 4.2))
            for y in range(top + 4, 74, 7)
        ]
        layers.append(("window", windows))
        x += width + rng.choice((0, 1.5))
    dashes = [box(x, 89, x + 9, 91) for x in range(2, 100, 18)]
    return [*layers, ("pavement", [box(0, 76, 100, 100)]), ("road", [box(0, 81, 100, 100)]), ("dash", dashes)]


def antenna(rng: random.Random, x: float, top: float) -> list[Outline]:
    return [box(x - 0.6, top - 8, x + 0.6, top)] if rng.random() < 0.4 else []


def forest(rng: random.Random) -> list[Layer]:
    far = [o for x in range(-2, 104, 8) for o in pine(x + rng.uniform(-2, 2), 64, rng.uniform(11, 15))]
    middle = [o for x in range(4, 104, 14) for o in pine(x + rng.uniform(-4, 4), 72, rng.uniform(15, 20))]
    near, trunks = [], []
    for x in (rng.uniform(2, 16), rng.uniform(22, 32), rng.uniform(70, 80), rng.uniform(84, 98)):
        foot, size = rng.uniform(76, 82), rng.uniform(19, 25)
        trunks.append(box(x - 2, foot - 4, x + 2, foot + 5))
        near += pine(x, foot, size)
    path = polygon((47, 72), (53, 72), (rng.uniform(62, 74), 100), (rng.uniform(28, 40), 100))
    return [
        ("far pine", [*far, box(0, 62, 100, 100)]),
        ("middle pine", [*middle, box(0, 70, 100, 100)]),
        ("moss", [wavy(rng, 75, 1.5, 1.0)]),
        ("path", [path]),
        ("trunk", trunks),
        ("pine", near),
    ]


def sea(rng: random.Random) -> list[Layer]:
    swell = [wavy(rng, y, 1.2, waves) for y, waves in ((60, 3.0), (80, 2.2))]
    return [
        ("water", [box(0, 44, 100, 100)]),
        ("swell", [swell[0]]),
        ("deep water", [swell[1]]),
        ("crest", crests(rng, 48, 96, 22)),
    ]


def space(rng: random.Random) -> list[Layer]:
    stars = [ellipse(rng.uniform(1, 99), rng.uniform(1, 99), rng.choice((0.6, 0.8, 1.1))) for _ in range(46)]
    bright = [spikes(rng.uniform(6, 94), rng.uniform(6, 94), 4, 2.8, 0.8) for _ in range(5)]
    x, y = rng.choice(((22, 76), (78, 76), (20, 24), (80, 22)))
    size = rng.uniform(13, 17)
    ring = ellipse(x, y, size * 1.7, size * 0.42, -18)
    hole = ellipse(x, y, size * 1.36, size * 0.27, -18)
    upper = ellipse(x, y, size)
    cap = tuple(point for point in upper if point[1] < y + 0.32 * (x - point[0])) or upper
    moon_x, moon_y = 100 - x + rng.uniform(-8, 8), 100 - y + rng.uniform(-8, 8)
    return [
        ("star", [*stars, *bright]),
        ("planet", [upper]),
        (
            "planet shade",
            [ellipse(x + size * 0.3, y + size * 0.3, size * 0.4, size * 0.3), ellipse(x - 5, y + 6, 3, 2)],
        ),
        ("ring", [ring]),
        ("sky", [hole]),
        ("planet", [cap, ellipse(x, y, size * 0.98, size * 0.2, -18)]),
        ("small planet", [ellipse(moon_x, moon_y, 6)]),
        ("crater", [ellipse(moon_x - 2, moon_y - 1, 1.6), ellipse(moon_x + 2, moon_y + 2, 1.2)]),
    ]


def meadow(rng: random.Random) -> list[Layer]:
    def blossoms(count: int) -> list[Outline]:
        return [ellipse(rng.uniform(2, 98), rng.uniform(74, 98), 1.5) for _ in range(count)]

    return [
        ("far hill", [wavy(rng, 55, 4, 0.9)]),
        ("hill", [wavy(rng, 62, 4, 0.7)]),
        ("grass", [wavy(rng, 71, 2, 0.6)]),
        ("blossom", blossoms(12)),
        ("second blossom", blossoms(12)),
    ]


def snow(rng: random.Random) -> list[Layer]:
    layers: list[Layer] = [("far drift", [wavy(rng, 54, 4, 0.8)])]
    firs: list[Outline] = []
    loads: list[Outline] = []
    for x in (rng.uniform(4, 14), rng.uniform(18, 30), rng.uniform(68, 78), rng.uniform(84, 96)):
        foot, size = rng.uniform(66, 72), rng.uniform(11, 16)
        firs += [*pine(x, foot, size), box(x - 1, foot - 2, x + 1, foot + 4)]
        loads += [tier_load(x, foot, size)]
    return [*layers, ("pine", firs), ("drift load", loads), ("drift", [wavy(rng, 70, 2.5, 0.6)])]


def tier_load(x: float, foot: float, size: float) -> Outline:
    """The snow on a fir's tip."""
    top = foot - 2 * size
    return polygon(
        (x, top), (x + 0.24 * size, top + 0.6 * size), (x, top + 0.45 * size), (x - 0.24 * size, top + 0.6 * size)
    )


BUILDERS: dict[str, Callable[[random.Random], list[Layer]]] = {
    "beach": beach,
    "mountains": mountains,
    "city": city,
    "forest": forest,
    "sea": sea,
    "space": space,
    "meadow": meadow,
    "snow": snow,
}


def layers_of(place: str, layout: int, body: str) -> list[Layer]:
    """All layers of a place, back to front."""
    rng = random.Random(f"{place}:{layout}")
    heavens = sky(rng, place, "none" if place == "space" else body)
    return [*heavens, *BUILDERS[place](random.Random(f"{place}:land:{layout}"))]
