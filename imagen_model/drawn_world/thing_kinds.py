"""Outlines of vehicles and of things of the house."""

from __future__ import annotations

from .outlines import Part, Tone, arc, bend, both_sides, box, ellipse, part, polygon, smooth, stroke, turned_parts

BODY, DARK, LIGHT, HOLE, INK, WOOD = Tone.BODY, Tone.DARK, Tone.LIGHT, Tone.HOLE, Tone.INK, Tone.WOOD

VEHICLES: dict[str, tuple[Part, ...]] = {
    "car": (
        part(BODY, smooth((22, 46), (32, 18), (46, 13), (60, 16), (74, 44), (60, 56), (30, 56))),
        part(BODY, box(0, 42, 100, 74, 12)),
        part(LIGHT, polygon((29, 42), (36, 23), (47, 21), (47, 42)), polygon((52, 21), (60, 23), (69, 42), (52, 42))),
        part(DARK, stroke(3, (50, 50), (58, 50)), box(0, 62, 100, 67)),
        part(INK, ellipse(24, 74, 14), ellipse(77, 74, 14)),
        part(LIGHT, ellipse(24, 74, 5.5), ellipse(77, 74, 5.5)),
    ),
    "bus": (
        part(BODY, box(0, 16, 100, 78, 8)),
        part(LIGHT, *[box(x, 26, x + 17, 46, 2) for x in (6, 28, 50)], box(74, 26, 92, 70, 2)),
        part(DARK, box(0, 56, 70, 62)),
        part(INK, ellipse(22, 78, 11), ellipse(66, 78, 11)),
        part(LIGHT, ellipse(22, 78, 4.5), ellipse(66, 78, 4.5)),
    ),
    "train": (
        part(DARK, polygon((68, 8), (92, 8), (86, 40), (74, 40)), box(50, 30, 62, 44, 4)),
        part(BODY, box(30, 38, 97, 70, 8), box(4, 14, 40, 72)),
        part(DARK, box(-3, 6, 46, 16, 3), polygon((84, 70), (97, 70), (108, 88), (84, 88)), box(4, 66, 97, 74)),
        part(LIGHT, box(13, 24, 31, 42, 2)),
        part(INK, ellipse(20, 80, 13), ellipse(50, 82, 11), ellipse(76, 82, 11)),
        part(LIGHT, ellipse(20, 80, 5), ellipse(50, 82, 4), ellipse(76, 82, 4)),
    ),
    "bicycle": (
        part(DARK, ellipse(21, 66, 26), ellipse(81, 66, 26)),
        part(HOLE, ellipse(21, 66, 16), ellipse(81, 66, 16)),
        part(
            BODY,
            stroke(11, (22, 66), (38, 34), (70, 32), (50, 66), (22, 66)),
            stroke(11, (50, 66), (36, 28)),
            stroke(11, (80, 66), (66, 20)),
        ),
        part(DARK, stroke(11, (28, 24), (44, 24)), stroke(10, (66, 20), (80, 14))),
    ),
    "boat": (
        part(WOOD, stroke(6, (48, 4), (48, 72))),
        part(LIGHT, polygon((52, 4), (94, 62), (52, 62))),
        part(BODY, polygon((44, 16), (44, 62), (10, 62))),
        part(BODY, polygon((0, 68), (100, 68), (84, 96), (16, 96))),
        part(DARK, polygon((0, 68), (100, 68), (96, 75), (4, 75))),
    ),
    "rocket": (
        part(DARK, *both_sides(smooth((34, 54), (14, 72), (12, 96), (34, 82)))),
        part(LIGHT, polygon((38, 84), (62, 84), (57, 94), (50, 106), (43, 94))),
        part(BODY, smooth((50, 0), (66, 20), (71, 50), (64, 86), (36, 86), (29, 50), (34, 20))),
        part(DARK, polygon((36, 20), (50, 0), (64, 20))),
        part(LIGHT, ellipse(50, 42, 11)),
        part(INK, ellipse(50, 42, 6)),
    ),
    "plane": turned_parts(
        (
            part(BODY, polygon((46, 30), (54, 30), (104, 62), (104, 74), (54, 60), (46, 60), (-4, 74), (-4, 62))),
            part(DARK, polygon((47, 82), (53, 82), (74, 97), (74, 105), (50, 99), (26, 105), (26, 97))),
            part(BODY, smooth((50, -8), (59, 10), (59, 60), (54, 100), (46, 100), (41, 60), (41, 10))),
            part(LIGHT, smooth((44, 8), (50, 4), (56, 8), (55, 14), (45, 14))),
            part(DARK, *both_sides(stroke(4, (22, 56), (22, 64))[2])),
        ),
        45,
    ),
}

HOUSEHOLD: dict[str, tuple[Part, ...]] = {
    "house": (
        part(DARK, box(70, 4, 84, 40)),
        part(BODY, box(12, 42, 88, 100)),
        part(DARK, polygon((-4, 50), (50, 2), (104, 50))),
        part(LIGHT, box(20, 60, 38, 78), box(62, 60, 80, 78)),
        part(DARK, box(43, 66, 57, 100)),
    ),
    "cup": (
        part(BODY, ellipse(74, 50, 24, 22)),
        part(HOLE, ellipse(74, 50, 13, 11)),
        part(BODY, polygon((4, 14), (72, 14), (67, 82), (60, 90), (16, 90), (9, 82))),
        part(DARK, ellipse(38, 15, 34, 6)),
        part(LIGHT, stroke(5, (15, 34), (18, 66))),
    ),
    "bottle": (
        part(DARK, box(40, 0, 60, 12, 3)),
        part(
            BODY,
            box(41, 11, 59, 50),
            polygon(*bend((59, 28), (60, 34), (69, 43), (73, 56)), *bend((27, 56), (31, 43), (40, 34), (41, 28))),
            box(27, 56, 73, 100, 5),
        ),
        part(LIGHT, box(27, 58, 73, 82)),
    ),
    "chair": (
        part(DARK, stroke(9, (30, 54), (34, 96)), stroke(9, (66, 54), (64, 96))),
        part(BODY, stroke(12, (16, 4), (20, 54), (12, 95)), stroke(12, (80, 54), (86, 95))),
        part(BODY, box(12, 46, 92, 62, 5)),
    ),
    "table": (
        part(DARK, stroke(9, (28, 30), (30, 74)), stroke(9, (72, 30), (70, 74))),
        part(BODY, polygon((8, 34), (22, 34), (20, 88), (10, 88)), polygon((78, 34), (92, 34), (90, 88), (80, 88))),
        part(BODY, box(0, 20, 100, 36, 4)),
        part(DARK, box(8, 36, 92, 42)),
    ),
    "lamp": (
        part(DARK, stroke(9, (50, 44), (50, 90)), box(26, 88, 74, 100, 5)),
        part(BODY, polygon((32, 0), (68, 0), (88, 50), (12, 50))),
        part(LIGHT, polygon((38, 6), (46, 6), (38, 44), (24, 44))),
    ),
    "book": (
        part(BODY, polygon((0, 12), (50, 32), (100, 12), (100, 72), (50, 94), (0, 72))),
        part(
            LIGHT,
            *both_sides(polygon(*bend((8, 4), (30, 10), (48, 28)), *bend((48, 80), (30, 66), (8, 60)))),
        ),
        part(
            DARK,
            box(48, 28, 52, 82),
            *[stroke(4, (x, y - 4 * d), (x + 16, y + 4 * d)) for x, d in ((17, 1), (67, -1)) for y in (28, 44)],
        ),
    ),
    "key": turned_parts(
        (
            part(BODY, ellipse(50, 14, 24), box(44, 34, 56, 108), box(50, 76, 74, 86), box(50, 94, 70, 104)),
            part(HOLE, ellipse(50, 12, 10)),
        ),
        45,
    ),
    "umbrella": (
        part(WOOD, stroke(7, *bend((50, 44), (50, 84), (56, 96), (68, 94), (70, 84)))),
        part(WOOD, stroke(6, (50, 0), (50, 10))),
        part(
            BODY,
            arc(50, 54, 50, 180, 360, 48)
            + tuple(point for x in (83, 50, 17) for point in arc(x, 54, 16.6, 0, -180, 8)),
        ),
        part(DARK, arc(50, 54, 17, 180, 360, 48) + arc(50, 54, 17, 0, -180, 8)),
    ),
    "hat": (
        part(BODY, polygon((26, 70), (25, 22), (31, 13), (41, 15), (50, 18), (59, 15), (69, 13), (75, 22), (74, 70))),
        part(DARK, polygon((25, 48), (75, 48), (74, 62), (26, 62))),
        part(
            BODY,
            smooth((0, 60), (14, 62), (50, 66), (86, 62), (100, 60), (92, 74), (70, 80), (50, 81), (30, 80), (8, 74)),
        ),
    ),
    "shoe": (
        part(
            BODY,
            smooth((6, 80), (8, 60), (30, 54), (46, 40), (58, 22), (68, 26), (82, 28), (94, 20), (98, 50), (98, 80)),
        ),
        part(LIGHT, box(2, 74, 101, 88, 6)),
        part(
            DARK,
            stroke(4, (40, 46), (50, 56)),
            stroke(4, (50, 36), (60, 46)),
            polygon((90, 24), (96, 24), (98, 60), (88, 60)),
        ),
    ),
    "guitar": turned_parts(
        (
            part(WOOD, box(45, -14, 55, 56)),
            part(DARK, box(40, -22, 60, -6, 3)),
            part(BODY, ellipse(50, 56, 20, 18), ellipse(50, 84, 28, 25), ellipse(50, 68, 19, 12)),
            part(INK, ellipse(50, 66, 8.5)),
            part(DARK, box(38, 88, 62, 93)),
        ),
        40,
    ),
    "clock": (
        part(
            DARK,
            *both_sides(ellipse(21, 16, 17, 13, -38)),
            stroke(9, (28, 80), (16, 97)),
            stroke(9, (72, 80), (84, 97)),
        ),
        part(BODY, ellipse(50, 54, 40)),
        part(LIGHT, ellipse(50, 54, 30)),
        part(INK, stroke(5, (50, 34), (50, 54), (64, 62))),
    ),
    "crown": (
        part(BODY, polygon((0, 22), (26, 50), (50, 10), (74, 50), (100, 22), (90, 88), (10, 88))),
        part(BODY, ellipse(4, 20, 6), ellipse(50, 11, 7), ellipse(96, 20, 6)),
        part(DARK, polygon((12, 74), (88, 74), (90, 88), (10, 88))),
        part(LIGHT, ellipse(50, 60, 6), ellipse(26, 64, 4.5), ellipse(74, 64, 4.5)),
    ),
    "ice cream": (
        part(WOOD, polygon((26, 46), (74, 46), (50, 104))),
        part(
            BODY,
            ellipse(50, 28, 30, 28),
            ellipse(27, 46, 9),
            ellipse(42, 50, 10),
            ellipse(58, 50, 10),
            ellipse(73, 46, 9),
        ),
        part(LIGHT, ellipse(38, 18, 7, 5, -30)),
    ),
}
