"""Outlines of geometric figures, of plants and of what stands in the sky."""

from __future__ import annotations

import math

from .outlines import Part, Tone, arc, bend, box, ellipse, part, polygon, smooth, spikes, stroke, turned_parts

BODY, DARK, LIGHT, HOLE, INK, WOOD, GREEN = (
    Tone.BODY,
    Tone.DARK,
    Tone.LIGHT,
    Tone.HOLE,
    Tone.INK,
    Tone.WOOD,
    Tone.GREEN,
)


def heart_curve() -> tuple[tuple[float, float], ...]:
    angles = [math.tau * i / 80 for i in range(80)]
    return tuple(
        (16 * math.sin(a) ** 3, -13 * math.cos(a) + 5 * math.cos(2 * a) + 2 * math.cos(3 * a) + math.cos(4 * a))
        for a in angles
    )


FIGURES: dict[str, tuple[Part, ...]] = {
    "circle": (part(BODY, ellipse(50, 50, 50)),),
    "square": (part(BODY, box(0, 0, 100, 100)),),
    "triangle": (part(BODY, polygon((50, 0), (100, 88), (0, 88))),),
    "cross": (part(BODY, box(34, 0, 66, 100), box(0, 34, 100, 66)),),
    "heart": (part(BODY, heart_curve()),),
    "ring": (part(BODY, ellipse(50, 50, 50)), part(HOLE, ellipse(50, 50, 27))),
    "star": (part(BODY, spikes(50, 50, 5, 50, 21)),),
}

SKY: dict[str, tuple[Part, ...]] = {
    "moon": (part(BODY, arc(50, 50, 50, 51, 309) + tuple(reversed(arc(72, 50, 40, 76.3, 283.7)))),),
    "sun": (part(DARK, spikes(50, 50, 12, 50, 33)), part(BODY, ellipse(50, 50, 31))),
    "cloud": (
        part(
            BODY,
            ellipse(20, 64, 20),
            ellipse(42, 38, 30),
            ellipse(72, 46, 22),
            ellipse(84, 66, 18),
            box(20, 56, 84, 84),
        ),
        part(LIGHT, stroke(5, *bend((24, 42), (30, 28), (42, 21)))),
    ),
}

PLANTS: dict[str, tuple[Part, ...]] = {
    "tree": (
        part(WOOD, polygon((42, 56), (58, 56), (62, 100), (38, 100))),
        part(BODY, ellipse(50, 25, 25), ellipse(27, 44, 22), ellipse(73, 44, 22), ellipse(50, 50, 24)),
        part(LIGHT, ellipse(40, 22, 6, 5), ellipse(26, 40, 5, 4)),
        part(DARK, ellipse(66, 52, 7, 5), ellipse(48, 60, 6, 4)),
    ),
    "flower": (
        part(GREEN, stroke(10, (50, 46), (50, 96)), smooth((50, 90), (62, 70), (84, 66), (76, 84))),
        part(GREEN, smooth((50, 96), (40, 78), (18, 74), (26, 92))),
        part(
            BODY,
            *[
                ellipse(50 + 19 * math.cos(a), 32 + 19 * math.sin(a), 14)
                for a in map(math.radians, range(-90, 270, 60))
            ],
        ),
        part(LIGHT, ellipse(50, 32, 11)),
    ),
    "leaf": turned_parts(
        (
            part(DARK, stroke(8, (50, 70), (50, 112))),
            part(BODY, smooth((50, -8), (66, 12), (76, 40), (70, 68), (50, 84), (30, 68), (24, 40), (34, 12))),
            part(
                DARK,
                stroke(4, (50, 12), (50, 84)),
                *[stroke(3, (50, y), (50 + side * 15, y - 13)) for y in (40, 56, 72) for side in (-1, 1)],
            ),
        ),
        45,
    ),
    "mushroom": (
        part(LIGHT, smooth((38, 50), (62, 50), (64, 76), (70, 94), (50, 99), (30, 94), (36, 76))),
        part(BODY, (*arc(50, 52, 50, 180, 360, 48), (98, 57), (80, 60), (50, 61), (20, 60), (2, 57))),
        part(LIGHT, ellipse(30, 34, 8, 7), ellipse(58, 20, 9, 7), ellipse(77, 42, 7, 6), ellipse(50, 46, 5, 4)),
    ),
    "apple": (
        part(WOOD, stroke(7, *bend((50, 36), (51, 20), (56, 6)))),
        part(GREEN, smooth((55, 22), (66, 6), (90, 4), (80, 20), (68, 26))),
        part(
            BODY,
            smooth(
                (50, 32),
                (66, 24),
                (86, 30),
                (95, 52),
                (86, 80),
                (68, 98),
                (50, 93),
                (32, 98),
                (14, 80),
                (5, 52),
                (14, 30),
                (34, 24),
            ),
        ),
        part(LIGHT, ellipse(25, 48, 5, 11, 20)),
    ),
    "pear": (
        part(WOOD, stroke(6, *bend((50, 16), (52, 8), (58, 1)))),
        part(
            BODY,
            smooth(
                (50, 11),
                (63, 18),
                (67, 36),
                (82, 60),
                (80, 84),
                (62, 98),
                (38, 98),
                (20, 84),
                (18, 60),
                (33, 36),
                (37, 18),
            ),
        ),
        part(LIGHT, ellipse(34, 66, 5, 12, 15)),
    ),
    "cactus": (
        part(BODY, stroke(24, (50, 13), (50, 96)), box(38, 84, 62, 100)),
        part(BODY, stroke(17, (50, 66), (18, 66), (18, 38)), stroke(17, (50, 56), (82, 56), (82, 26))),
        part(DARK, *[stroke(3, (x, 16), (x, 96)) for x in (44, 56)]),
        part(LIGHT, *[ellipse(x, y, 2.5) for x, y in ((50, 24), (50, 44), (50, 64), (50, 84), (18, 50), (82, 40))]),
    ),
}
