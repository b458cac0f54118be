"""The one drawing primitive: a closed outline filled with one tone. Everything else becomes outlines here.

Coordinates are those of a sheet of 100 by 100, x to the right and y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

Point = tuple[float, float]
Outline = tuple[Point, ...]


class Tone(IntEnum):
    """What a part is painted with. All but the last four derive from the object's own colour."""

    HOLE = 0
    BODY = 1
    DARK = 2
    LIGHT = 3
    LINE = 4
    INK = 5
    WOOD = 6
    GREEN = 7


@dataclass(frozen=True, slots=True)
class Part:
    """Outlines of one tone. A later part covers an earlier one; `HOLE` takes away what lies below."""

    tone: Tone
    outlines: tuple[Outline, ...]


def part(tone: Tone, *outlines: Outline | Sequence[Outline]) -> Part:
    """A part from outlines and from lists of outlines (as `stroke` gives them)."""
    flat: list[Outline] = []
    for outline in outlines:
        if isinstance(outline[0][0], (int, float)):
            flat.append(tuple(outline))  # type: ignore[arg-type]
        else:
            flat.extend(outline)  # type: ignore[arg-type]
    return Part(tone, tuple(flat))


def polygon(*points: Point) -> Outline:
    return points


def ellipse(x: float, y: float, across: float, down: float | None = None, turn: float = 0.0) -> Outline:
    """Half axes `across` and `down` (the same where not given), turned by `turn` degrees clockwise."""
    down = across if down is None else down
    points = [(math.cos(a) * across, math.sin(a) * down) for a in (math.tau * i / 64 for i in range(64))]
    return move(turned(tuple(points), turn), x, y)


def box(left: float, top: float, right: float, bottom: float, corner: float = 0.0) -> Outline:
    """A rectangle, its corners rounded with radius `corner`."""
    if corner == 0:
        return ((left, top), (right, top), (right, bottom), (left, bottom))
    middles = (
        (right - corner, top + corner, -90),
        (right - corner, bottom - corner, 0),
        (left + corner, bottom - corner, 90),
        (left + corner, top + corner, 180),
    )
    return tuple(point for x, y, start in middles for point in arc(x, y, corner, start, start + 90))


def arc(x: float, y: float, radius: float, start: float, end: float, down: float | None = None) -> Outline:
    """Points of an arc from `start` to `end` degrees, 0 being to the right and 90 downwards."""
    count = max(3, round(abs(end - start) / 6))
    angles = [math.radians(start + (end - start) * i / count) for i in range(count + 1)]
    return tuple((x + radius * math.cos(a), y + (down or radius) * math.sin(a)) for a in angles)


def smooth(*points: Point) -> Outline:
    """A closed Catmull-Rom curve through the points."""
    count = len(points)
    curve: list[Point] = []
    for index in range(count):
        before, now, after, beyond = (points[(index + step) % count] for step in (-1, 0, 1, 2))
        curve.extend(between(before, now, after, beyond, step / 10) for step in range(10))
    return tuple(curve)


def bend(*points: Point) -> Outline:
    """An open Catmull-Rom curve through the points, for `stroke`."""
    curve: list[Point] = []
    for index in range(len(points) - 1):
        before, beyond = points[max(index - 1, 0)], points[min(index + 2, len(points) - 1)]
        curve.extend(between(before, points[index], points[index + 1], beyond, step / 8) for step in range(8))
    return (*curve, points[-1])


def between(before: Point, now: Point, after: Point, beyond: Point, t: float) -> Point:
    def blend(a: float, b: float, c: float, d: float) -> float:
        return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))

    return (blend(before[0], now[0], after[0], beyond[0]), blend(before[1], now[1], after[1], beyond[1]))


def stroke(width: float, *points: Point) -> list[Outline]:
    """A line through the points with round ends and joints."""
    outlines = [ellipse(x, y, width / 2) for x, y in points]
    for (x, y), (to_x, to_y) in pairwise(points):
        length = math.hypot(to_x - x, to_y - y) or 1.0
        side_x, side_y = (y - to_y) / length * width / 2, (to_x - x) / length * width / 2
        outlines.append(
            (
                (x + side_x, y + side_y),
                (to_x + side_x, to_y + side_y),
                (to_x - side_x, to_y - side_y),
                (x - side_x, y - side_y),
            )
        )
    return outlines


def spikes(x: float, y: float, count: int, outer: float, inner: float, turn: float = -90.0) -> Outline:
    """A star of `count` points."""
    angles = [math.radians(turn + 180 * i / count) for i in range(2 * count)]
    return tuple(
        (x + (outer, inner)[i % 2] * math.cos(a), y + (outer, inner)[i % 2] * math.sin(a)) for i, a in enumerate(angles)
    )


def move(outline: Outline, right: float, down: float) -> Outline:
    return tuple((x + right, y + down) for x, y in outline)


def turned(outline: Outline, degrees: float, x: float = 0.0, y: float = 0.0) -> Outline:
    """Turned clockwise about (x, y)."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return tuple((x + (a - x) * cos - (b - y) * sin, y + (a - x) * sin + (b - y) * cos) for a, b in outline)


def turned_parts(parts: Sequence[Part], degrees: float) -> tuple[Part, ...]:
    return tuple(Part(one.tone, tuple(turned(o, degrees, 50, 50) for o in one.outlines)) for one in parts)


def mirrored(outline: Outline) -> Outline:
    return tuple((100 - x, y) for x, y in outline)


def both_sides(outline: Outline) -> list[Outline]:
    """The outline and its mirror image."""
    return [outline, mirrored(outline)]


def fitted(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Scaled and moved so that the longer side of what is painted fills the unit box and the shorter is centred."""
    painted = [point for one in parts if one.tone != Tone.HOLE for outline in one.outlines for point in outline]
    left, right = min(x for x, _ in painted), max(x for x, _ in painted)
    top, bottom = min(y for _, y in painted), max(y for _, y in painted)
    side = max(right - left, bottom - top)
    x0, y0 = (left + right - side) / 2, (top + bottom - side) / 2
    return tuple(
        Part(one.tone, tuple(tuple(((x - x0) / side, (y - y0) / side) for x, y in outline) for outline in one.outlines))
        for one in parts
    )
