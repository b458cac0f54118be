"""Pictures and alt texts for training a captioner, a function of (seed, step) alone.

A drawing is shown as pictures come in life: small or large, with hard or smooth edges, resampled, cut a little,
compressed, noisy, in the pixel decoder's levels and with its stray cells. So that a colour and a shape which never
stood together are told apart, some objects get a colour without a name, whose word is then neither shown nor asked.
"""

from __future__ import annotations

import io
import random
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ..illustrations.alt_text import alt_text
from ..illustrations.drawing import Picture, draw, silhouette
from ..illustrations.scene import BACKGROUNDS, COLOURS, GRID, HELD_OUT, SHAPES, Landscape, ObjectScene, Scene
from ..illustrations.worlds import random_scene

SIDES, SIDE_WEIGHTS = (16, 64, 128, 256), (0.35, 0.45, 0.1, 0.1)
OTHER_SIDES = (24, 32, 48, 64, 96, 128, 256)
FILTERS = (
    Image.Resampling.NEAREST,
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)
NAMELESS_SHARE = 0.25
NAMELESS = len(COLOURS) + 1
LEVELS = 32  # of imagen-small's pixel decoder
Rgb = tuple[int, int, int]


class CaptionBatch(NamedTuple):
    """Alt texts with [UNK] in the place of words without an answer; pictures (batch, 3, side, side) uint8; and what
    lies on each cell, (batch, 2, 16, 16) uint8: 0 for no object, else its shape's and its colour's number from 1 on,
    a colour without a name being `NAMELESS`."""

    texts: list[str]
    pictures: Tensor
    cells: Tensor


class CaptionedDrawings(Dataset[CaptionBatch]):
    """Item `step` is that step's batch; `side` is the captioner's, in pixels."""

    def __init__(self, seed: int, batch_size: int, side: int, steps: int) -> None:
        self.seed, self.batch_size, self.side, self.steps = seed, batch_size, side, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> CaptionBatch:
        rng = random.Random(f"{self.seed}:{step}")
        texts, pictures, cells = [], [], []
        for _ in range(self.batch_size):
            scene = random_scene(rng)
            colours = nameless_colours(scene, rng) if rng.random() < NAMELESS_SHARE else {}
            texts.append(without_words(alt_text(scene), set(colours)))
            image = worn(drawing(scene, rng, colours), rng)
            pictures.append(np.asarray(image.resize((self.side, self.side), Image.Resampling.BOX)))
            cells.append(cells_of(scene, set(colours)))
        shown = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
        return CaptionBatch(texts, shown, torch.from_numpy(np.stack(cells)))


def cells_of(scene: Scene, nameless: set[str]) -> Picture:
    """(2, 16, 16): see `CaptionBatch`."""
    cells = np.zeros((2, GRID, GRID), np.uint8)
    if isinstance(scene, ObjectScene):
        for thing in scene.objects:
            window = cells[:, thing.y : thing.y + thing.size, thing.x : thing.x + thing.size]
            colour = NAMELESS if thing.colour in nameless else list(COLOURS).index(thing.colour) + 1
            covered = silhouette(thing.shape, thing.size, thing.size)
            window[0, covered], window[1, covered] = SHAPES.index(thing.shape) + 1, colour
    return cells


def nameless_colours(scene: Scene, rng: random.Random) -> dict[str, Rgb]:
    """A random colour in the place of each object colour, far from the background's and never one that would show a
    pair which is held out."""
    if isinstance(scene, Landscape):
        return {}
    ground, chosen = np.array(BACKGROUNDS[scene.background]), {}
    for name in sorted({thing.colour for thing in scene.objects}):
        shapes = {thing.shape for thing in scene.objects if thing.colour == name}
        while name not in chosen:
            rgb = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
            nearest = list(COLOURS)[((np.array(list(COLOURS.values())) - rgb) ** 2).sum(-1).argmin()]
            held_out = any((nearest, shape) in HELD_OUT for shape in shapes)
            if not held_out and np.abs(ground - rgb).sum() > 150:
                chosen[name] = rgb
    return chosen


def without_words(text: str, words: set[str]) -> str:
    """The background keeps its colour's name: the objects' come before it."""
    objects, on, rest = text.partition(" on ")
    return " ".join("[UNK]" if word in words else word for word in objects.split(" ")) + on + rest


def drawing(scene: Scene, rng: random.Random, colours: dict[str, Rgb]) -> Image.Image:
    side = rng.choices(SIDES, SIDE_WEIGHTS)[0]
    smooth = side in (64, 128) and rng.random() < 0.7
    if isinstance(scene, Landscape):
        return Image.fromarray(landscape(scene, side, smooth))
    return Image.fromarray(objects(scene, side, smooth, colours))


@lru_cache(maxsize=512)
def landscape(scene: Landscape, side: int, smooth: bool) -> Picture:
    return smoothed(draw(scene, side * 2)) if smooth else draw(scene, side)


def objects(scene: ObjectScene, side: int, smooth: bool, colours: dict[str, Rgb]) -> Picture:
    picture = draw(scene, side * (2 if smooth else 1))
    masks = {name: (picture == COLOURS[name]).all(-1) for name in colours}
    for name, rgb in colours.items():
        picture[masks[name]] = rgb
    return smoothed(picture) if smooth else picture


def smoothed(picture: Picture) -> Picture:
    return np.asarray(Image.fromarray(picture).reduce(2))


def worn(image: Image.Image, rng: random.Random) -> Image.Image:
    """The picture after some of the things that happen to pictures."""
    if image.width == GRID and rng.random() < 0.3:
        image = with_stray_cells(image, rng)
    if rng.random() < (0.6 if image.width == GRID else 0.1):
        image = in_levels(image)
    if rng.random() < 0.6:
        cut = rng.uniform(0, 0.04) * image.width if rng.random() < 0.4 else 0.0
        left, top, right, bottom = (rng.uniform(0, cut) for _ in range(4))
        side = rng.choice(OTHER_SIDES)
        box = (left, top, image.width - right, image.height - bottom)
        image = image.resize((side, side), rng.choice(FILTERS), box=box)
    if rng.random() < 0.4:
        image = with_noise(image, rng)
    if rng.random() < 0.25:
        held = io.BytesIO()
        image.save(held, "JPEG", quality=rng.randint(25, 95))
        image = Image.open(held)
    return image


def in_levels(image: Image.Image) -> Image.Image:
    """As the pixel decoder writes what it has read."""
    levels = np.asarray(image).astype(int) * LEVELS // 256
    return Image.fromarray((levels * 255 // (LEVELS - 1)).astype(np.uint8))


def with_stray_cells(image: Image.Image, rng: random.Random) -> Image.Image:
    """One to five cells take the colour of a cell beside them: the usual mistakes of the pixel decoder."""
    cells = np.array(image)
    for _ in range(rng.randint(1, 5)):
        row, column = rng.randint(1, GRID - 2), rng.randint(1, GRID - 2)
        cells[row, column] = cells[row + rng.randint(-1, 1), column + rng.randint(-1, 1)]
    return Image.fromarray(cells)


def with_noise(image: Image.Image, rng: random.Random) -> Image.Image:
    """Noise, and a change of brightness and contrast, all slight."""
    values = np.asarray(image, np.float32)
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(values.shape, np.float32)
    values = (values - 128) * rng.uniform(0.92, 1.08) + 128 + rng.uniform(-8, 8) + rng.uniform(0, 9) * noise
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))
