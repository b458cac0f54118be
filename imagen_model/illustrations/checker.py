"""Reading a picture back without any learned model: which objects, of which colour, where; which landscape.

A picture of any size is averaged to the 16x16 grid. Each cell becomes the nearest of the background and the
palette's colours; connected cells of one colour are an object; its shape is the silhouette with the largest
intersection over union at its bounding box.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .drawing import GROUND, LEAVES, TRUNK, Picture, draw, silhouette
from .scene import BACKGROUNDS, COLOURS, GRID, PLACES, SHAPES, TIMES, Landscape

# Smaller groups of cells are specks: the smallest object drawn, a ring of side 6, has 24 cells.
SMALLEST_OBJECT = 9
# Below this overlap with the best silhouette an object has no recognisable shape.
LEAST_OVERLAP = 0.75


@dataclass(frozen=True, slots=True)
class SeenObject:
    """An object as read: `shape` is None where nothing fits; centre in cells of the 16x16 grid."""

    shape: str | None
    colour: str
    centre_x: float
    centre_y: float


@dataclass(frozen=True, slots=True)
class SeenLandscape:
    place: str
    time: str
    palms: bool
    distance: float


def to_grid(image: Image.Image | Picture) -> NDArray[np.float64]:
    """(16, 16, 3) mean colours of the grid's cells."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    return np.asarray(picture.convert("RGB").resize((GRID, GRID), Image.Resampling.BOX), float)


def nearest(colours: NDArray[np.float64], palette: list[tuple[int, int, int]]) -> NDArray[np.int64]:
    """Index of the palette's colour with the smallest squared distance in RGB, for each colour."""
    distances = ((colours[..., None, :] - np.asarray(palette, float)) ** 2).sum(-1)
    return distances.argmin(-1)


def read_objects(image: Image.Image | Picture) -> list[SeenObject]:
    """The objects of a picture on a plain background, upper left first."""
    cells = to_grid(image)
    names = [f"background {name}" for name in BACKGROUNDS] + list(COLOURS)
    labels = nearest(cells, [*BACKGROUNDS.values(), *COLOURS.values()])
    border = np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))
    counts = Counter(plain(names[label]) for label in border)
    ground = counts.most_common(1)[0][0]
    looks = np.array([[plain(names[label]) for label in row] for row in labels])
    seen = []
    for colour, mask in components(looks, ground):
        rows, columns = np.nonzero(mask)
        top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        shape = best_shape(mask[top:bottom, left:right])
        seen.append(SeenObject(shape, colour, (left + right) / 2, (top + bottom) / 2))
    return seen


def plain(name: str) -> str:
    """White and black are colours of backgrounds and of objects alike."""
    return name.removeprefix("background ")


def components(looks: NDArray[np.str_], ground: str) -> list[tuple[str, NDArray[np.bool_]]]:
    """Groups of cells of one colour that touch at a side or a corner, without the background and specks."""
    waiting = {(int(row), int(column)) for row, column in zip(*np.nonzero(looks != ground), strict=True)}
    found = []
    while waiting:
        start = min(waiting)
        colour = str(looks[start])
        waiting.remove(start)
        stack, mask = [start], np.zeros(looks.shape, bool)
        while stack:
            row, column = stack.pop()
            mask[row, column] = True
            around = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)}
            fitting = {cell for cell in around & waiting if looks[cell] == colour}
            waiting -= fitting
            stack.extend(fitting)
        if mask.sum() >= SMALLEST_OBJECT:
            found.append((colour, mask))
    return found


def best_shape(mask: NDArray[np.bool_]) -> str | None:
    height, width = mask.shape
    overlaps = {}
    for shape in SHAPES:
        template = silhouette(shape, width, height)
        overlaps[shape] = (mask & template).sum() / (mask | template).sum()
    best = max(overlaps, key=lambda shape: overlaps[shape])
    return best if overlaps[best] >= LEAST_OVERLAP else None


def read_landscape(image: Image.Image | Picture) -> SeenLandscape:
    """The place and time whose drawing is nearest, by the rows' middle colours; palms by trunks and leaves."""
    cells = to_grid(image)
    rows = np.median(cells, axis=1)
    distances = {}
    for place in PLACES:
        for time in TIMES:
            model = np.median(draw(Landscape(place, time, 8)).astype(float), axis=1)
            distances[place, time] = float(np.sqrt(((rows - model) ** 2).sum(-1)).mean())
    place, time = min(distances, key=lambda key: distances[key])
    leaves = nearest(cells[4:7], [LEAVES[time], *others(cells, time)]) == 0
    trunk = nearest(cells[7:12], [TRUNK[time], *others(cells, time)]) == 0
    palms = bool(leaves.sum() >= 4 and (trunk.sum(0) >= 3).any()) and place == "beach"
    return SeenLandscape(place, time, palms, distances[place, time])


def others(cells: NDArray[np.float64], time: str) -> list[tuple[int, int, int]]:
    """What is neither leaf nor trunk: the picture's own rows."""
    medians = [tuple(int(value) for value in row) for row in np.median(cells, axis=1)]
    return [(row[0], row[1], row[2]) for row in medians] + [GROUND["beach"][time]]
