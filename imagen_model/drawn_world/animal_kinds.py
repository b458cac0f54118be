"""Outlines of animals, facing left where they face a side."""

from __future__ import annotations

from .outlines import Part, Tone, bend, both_sides, ellipse, part, polygon, smooth, stroke

BODY, DARK, LIGHT, INK = Tone.BODY, Tone.DARK, Tone.LIGHT, Tone.INK

ANIMALS: dict[str, tuple[Part, ...]] = {
    "fish": (
        part(DARK, polygon((36, 26), (62, 12), (62, 30)), polygon((42, 74), (60, 86), (60, 70))),
        part(BODY, smooth((0, 50), (14, 32), (40, 22), (64, 34), (80, 48), (80, 52), (64, 66), (40, 78), (14, 68))),
        part(BODY, polygon((72, 50), (100, 20), (93, 50), (100, 80))),
        part(DARK, stroke(4, *bend((30, 34), (36, 50), (30, 66)))),
        part(LIGHT, ellipse(17, 44, 7)),
        part(INK, ellipse(16, 44, 4)),
    ),
    "cat": (
        part(BODY, stroke(10, *bend((66, 92), (88, 90), (92, 72), (84, 56)))),
        part(BODY, smooth((50, 40), (66, 56), (74, 80), (72, 97), (50, 100), (28, 97), (26, 80), (34, 56))),
        part(BODY, ellipse(50, 32, 28, 23), *both_sides(polygon((23, 30), (22, 0), (46, 14)))),
        part(DARK, *both_sides(polygon((28, 18), (27, 8), (36, 13)))),
        part(LIGHT, ellipse(50, 76, 11, 15)),
        part(INK, *both_sides(ellipse(39, 30, 4, 5)), polygon((46, 40), (54, 40), (50, 45))),
    ),
    "dog": (
        part(BODY, stroke(9, *bend((84, 48), (94, 38), (95, 22)))),
        part(DARK, stroke(10, (40, 66), (40, 95)), stroke(10, (74, 66), (74, 95))),
        part(BODY, stroke(11, (30, 60), (30, 94)), stroke(11, (84, 60), (84, 94))),
        part(BODY, smooth((24, 40), (40, 42), (70, 42), (90, 46), (90, 66), (70, 70), (40, 70), (25, 66))),
        part(BODY, smooth((2, 26), (14, 22), (20, 10), (36, 8), (46, 20), (44, 44), (26, 48), (16, 38), (3, 36))),
        part(DARK, smooth((34, 10), (46, 12), (52, 30), (46, 42), (38, 34))),
        part(INK, ellipse(3, 27, 4.5, 4), ellipse(24, 22, 3.2)),
    ),
    "bird": (
        part(DARK, polygon((12, 46), (-6, 53), (12, 56))),
        part(BODY, smooth((10, 44), (20, 34), (36, 40), (60, 52), (82, 62), (70, 74), (46, 80), (24, 72), (12, 58))),
        part(BODY, polygon((66, 58), (104, 56), (98, 68), (104, 80), (64, 74))),
        part(DARK, smooth((34, 52), (42, 24), (66, 2), (84, 0), (78, 24), (62, 58), (48, 66))),
        part(INK, ellipse(20, 46, 3.5)),
    ),
    "duck": (
        part(DARK, smooth((12, 32), (-2, 34), (-6, 42), (6, 46), (18, 44))),
        part(
            BODY,
            smooth(
                (20, 52),
                (36, 56),
                (56, 54),
                (76, 50),
                (98, 36),
                (98, 62),
                (86, 88),
                (56, 96),
                (26, 92),
                (10, 76),
            ),
        ),
        part(BODY, ellipse(32, 30, 22), smooth((16, 40), (48, 40), (46, 64), (18, 66))),
        part(DARK, stroke(4, *bend((46, 68), (58, 80), (76, 74)))),
        part(INK, ellipse(24, 26, 3.8)),
    ),
    "rabbit": (
        part(BODY, *both_sides(ellipse(36, 22, 8, 24, -10))),
        part(DARK, *both_sides(ellipse(36, 20, 3.5, 15, -10))),
        part(BODY, ellipse(50, 52, 22, 18), smooth((50, 58), (68, 72), (70, 96), (50, 104), (30, 96), (32, 72))),
        part(BODY, *both_sides(ellipse(32, 102, 10, 5))),
        part(LIGHT, ellipse(50, 88, 11, 13)),
        part(INK, *both_sides(ellipse(41, 50, 3, 4)), ellipse(50, 58, 3, 2.4)),
    ),
    "snail": (
        part(
            DARK, stroke(5, (10, 64), (2, 36)), stroke(5, (16, 62), (20, 38)), ellipse(2, 35, 4.5), ellipse(20, 37, 4.5)
        ),
        part(LIGHT, smooth((4, 58), (16, 56), (26, 72), (50, 80), (80, 80), (104, 92), (60, 94), (20, 93), (4, 78))),
        part(BODY, ellipse(60, 48, 34)),
        part(
            DARK,
            stroke(5, *bend((30, 56), (44, 74), (72, 74), (82, 50), (66, 30), (46, 38), (48, 56), (62, 58), (64, 48))),
        ),
        part(INK, ellipse(11, 68, 2.6)),
    ),
    "butterfly": (
        part(DARK, stroke(4, *bend((50, 28), (44, 14), (34, 6))), stroke(4, *bend((50, 28), (56, 14), (66, 6)))),
        part(BODY, *both_sides(smooth((48, 44), (34, 18), (10, 8), (-2, 22), (6, 46), (30, 56)))),
        part(BODY, *both_sides(smooth((48, 50), (24, 54), (8, 70), (18, 92), (36, 90), (48, 66)))),
        part(LIGHT, *both_sides(ellipse(18, 28, 8)), *both_sides(ellipse(27, 74, 6))),
        part(INK, ellipse(50, 52, 4.5, 28)),
    ),
    "octopus": (
        part(
            BODY,
            *[
                outline
                for points in (
                    ((34, 60), (22, 76), (6, 74), (0, 62)),
                    ((42, 62), (36, 88), (20, 98), (10, 92)),
                    ((50, 62), (47, 84), (42, 100)),
                )
                for side in (0, 1)
                for outline in stroke(12, *bend(*[(100 - x, y) if side else (x, y) for x, y in points]))
            ],
        ),
        part(BODY, ellipse(50, 30, 30), ellipse(50, 52, 25, 20)),
        part(LIGHT, *both_sides(ellipse(39, 42, 7.5))),
        part(INK, *both_sides(ellipse(40, 43, 4)), stroke(3, *bend((43, 56), (50, 60), (57, 56)))),
    ),
}
