"""Reading things back from a picture without any learned model: kind, colour, place, size and style.

What differs from what lies behind is foreground; its connected groups are things. A group's soft silhouette is
compared with those of every kind (intersection over union, at several sizes and as sharp as the picture is), then
the kind found is drawn in every colour and style, and the nearest drawing names colour and style.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .kinds import KINDS, SYMMETRIC
from .palette import CHALK, COLOURS, INK, dark_tone, tones
from .scene import GRID, SMALLEST, STYLES
from .sprites import FULL, silhouette, sprite

Floats = NDArray[np.float64]
Picture = Image.Image | NDArray[np.uint8]
FINE = 64
FRAME = 24
# Colours nearer than this to what lies behind are not foreground.
LEAST_DIFFERENCE = 34.0
# Colours this far from what lies behind are wholly foreground.
FULL_DIFFERENCE = 138.0
# A group that covers less of the picture is a speck; the smallest thing, a key of size 9, covers twice as much.
SPECK = 0.008
# Below this overlap with the best silhouette a group is no known kind.
LEAST_OVERLAP = 0.6
# Kinds whose drawings are compared after the silhouettes, and the mean error in RGB that outweighs a whole overlap.
CANDIDATES, ERROR_SCALE = 4, 250.0
# How much of a crayon drawing is paper, on average.
CRAYON_PAPER = 0.12


@dataclass(frozen=True, slots=True)
class SeenThing:
    """A thing as read: `kind` is None where nothing fits; centre and size in 32nds of the picture's side."""

    kind: str | None
    colour: str
    style: str
    x: float
    y: float
    size: float
    overlap: float


def to_floats(picture: Picture) -> Floats:
    """(64, 64, 3) area means of the picture; (32, 32, 3) where its shorter side is below 64."""
    image = (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).convert("RGB")
    side = FINE if min(image.size) >= FINE else GRID
    return np.asarray(image.resize((side, side), Image.Resampling.BOX), np.float64)


def read_things(picture: Picture) -> list[SeenThing]:
    """The things of a picture on a plain background, top first."""
    pixels = to_floats(picture)
    border = np.concatenate((pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
    return things_before(pixels, np.broadcast_to(np.median(border, axis=0), pixels.shape))


def things_before(pixels: Floats, behind: Floats, least: float = LEAST_DIFFERENCE) -> list[SeenThing]:
    """Things that stand before `behind`, both (side, side, 3)."""
    difference = np.sqrt(((pixels - behind) ** 2).sum(-1))
    # Each pixel is measured by the strongest one near it, so that pale and dark details count as much as the body.
    strongest = np.maximum(highest_near(difference, pixels.shape[0] // GRID), 2 * least)
    cover = np.clip(difference / np.minimum(0.9 * strongest, np.maximum(0.5 * strongest, FULL_DIFFERENCE)), 0, 1)
    seen = []
    for rough in groups(difference > least):
        # Half of the local contrast parts neighbours that blurred edges had joined.
        for mask in groups(rough & (cover > 0.45)):
            if mask.mean() >= SPECK:
                seen.append(read_group(pixels, behind, cover, mask))
    return seen


def highest_near(values: Floats, reach: int) -> Floats:
    """The largest value within `reach` pixels across and down."""
    for axis in (0, 1):
        padded = np.pad(values, [(reach, reach) if one == axis else (0, 0) for one in (0, 1)])
        length = values.shape[axis]
        values = np.max([padded.take(range(step, step + length), axis) for step in range(2 * reach + 1)], axis=0)
    return values


def groups(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Groups of true cells that touch at a side or a corner."""
    side = mask.shape[1] + 2
    padded = np.pad(mask, 1)
    waiting = set(np.flatnonzero(padded).tolist())
    steps = (-side - 1, -side, -side + 1, -1, 1, side - 1, side, side + 1)
    found = []
    while waiting:
        start = waiting.pop()
        group, stack = [start], [start]
        while stack:
            cell = stack.pop()
            for step in steps:
                if cell + step in waiting:
                    waiting.discard(cell + step)
                    stack.append(cell + step)
                    group.append(cell + step)
        if len(group) > 3:
            flat = np.zeros(padded.size, bool)
            flat[group] = True
            found.append((min(group), flat.reshape(padded.shape)[1:-1, 1:-1]))
    return [group for _, group in sorted(found, key=lambda pair: pair[0])]


def read_group(pixels: Floats, behind: Floats, cover: Floats, mask: NDArray[np.bool_]) -> SeenThing:
    cover = cover * (highest_near(mask.astype(np.float64), 1) > 0)
    frame = frame_of(cover)
    names, templates = kind_templates(pixels.shape[0])
    overlaps = overlap(cropped(cover, frame), templates)
    candidates: dict[tuple[str, bool], float] = {}
    for index in np.argsort(-overlaps)[:24].tolist():
        if len(candidates) < CANDIDATES:
            candidates.setdefault(names[index], float(overlaps[index]))
    left, top, side = frame
    unit = GRID / pixels.shape[0]
    size = min(side * unit, GRID)
    shown, ground = cropped(pixels, frame), cropped(behind, frame)
    readings = [
        (fit - error / ERROR_SCALE, kind, colour, style, fit)
        for (kind, mirrored), fit in candidates.items()
        for error, colour, style in [read_look(shown, ground, kind, mirrored, round(size), pixels.shape[0] // GRID)]
    ]
    _, kind, colour, style, fit = max(readings)
    x, y = (left + side / 2) * unit, (top + side / 2) * unit
    return SeenThing(kind if fit >= LEAST_OVERLAP else None, colour, style, x, y, size, fit)


def overlap(crop: Floats, templates: NDArray[np.float32]) -> NDArray[np.float32]:
    """Soft intersection over union of a (24, 24) crop with each of (n, 576) templates."""
    flat = crop.astype(np.float32).ravel()
    shared = np.minimum(templates, flat).sum(-1)
    return shared / (templates.sum(-1) + flat.sum() - shared + 1e-6)


def frame_of(cover: Floats) -> tuple[float, float, float]:
    """Left, top and side of the square about what is covered, to fractions of a pixel by its edges' shares."""

    def ends(profile: Floats) -> tuple[float, float]:
        inside = np.flatnonzero(profile > 0.5)
        first, last = (int(inside[0]), int(inside[-1])) if len(inside) else (0, len(profile) - 1)
        before = float(profile[first - 1]) if first else 0.0
        after = float(profile[last + 1]) if last + 1 < len(profile) else 0.0
        return first - before, last + 1 + after

    left, right = ends(cover.max(0))
    top, bottom = ends(cover.max(1))
    side = max(right - left, bottom - top)
    return ((left + right - side) / 2, (top + bottom - side) / 2, side)


def cropped(values: Floats, frame: tuple[float, float, float]) -> Floats:
    """The frame's (24, 24, ...) area means; beyond the picture lies its own edge for colours, nothing for covers."""
    left, top, side = frame
    pad = 34
    widths = ((pad, pad), (pad, pad), (0, 0))[: values.ndim]
    padded = np.pad(values, widths, mode="edge") if values.ndim == 3 else np.pad(values, widths)
    corners = (left + pad, top + pad, left + pad + side, top + pad + side)
    planes = padded[..., None] if padded.ndim == 2 else padded
    layers = [
        np.asarray(
            Image.fromarray(planes[..., index].astype(np.float32)).resize(
                (FRAME, FRAME), Image.Resampling.BOX, box=corners
            )
        )
        for index in range(planes.shape[-1])
    ]
    return np.stack(layers, -1).astype(np.float64) if values.ndim == 3 else layers[0].astype(np.float64)


@lru_cache(maxsize=2)
def kind_templates(side: int) -> tuple[list[tuple[str, bool]], NDArray[np.float32]]:
    """Which kind and mirroring each template is, and the (n, 576) crops of silhouettes as a picture shows them.

    Drawn at several sizes in a picture of `side` pixels, and once more from 32 pixels made larger.
    """
    names, crops = [], []
    for kind in KINDS:
        for mirrored in (False,) if kind in SYMMETRIC else (False, True):
            for size in (9, 11, 14, 20):
                for sharp in (True, False) if side > GRID else (True,):
                    scale = side // GRID if sharp else 1
                    cover = np.zeros((GRID * scale, GRID * scale), np.float32)
                    start, box = 6 * scale, size * scale
                    cover[start : start + box, start : start + box] = silhouette(kind, box, mirrored)
                    shown = Image.fromarray(cover)
                    if not sharp:
                        shown = shown.resize((256, 256), Image.Resampling.BICUBIC).resize(
                            (side, side), Image.Resampling.BOX
                        )
                    grown = np.clip(np.asarray(shown, np.float64), 0, 1)
                    crops.append(cropped(grown, frame_of(grown)).ravel())
                    names.append((kind, mirrored))
    return names, np.stack(crops).astype(np.float32)


def read_look(
    shown: Floats, ground: Floats, kind: str, mirrored: bool, size: int, scale: int
) -> tuple[float, str, str]:
    """The colour and style whose drawing of the kind is nearest to the (24, 24, 3) crop, after that drawing's error."""
    ink = CHALK if float(ground.mean()) < 60 and float(ground.std((0, 1)).max()) < 3 else INK
    best = (np.inf, "", "")
    for style in STYLES:
        palette = np.concatenate(
            [np.asarray(tones(c, ink, dark_tone(c) if style == "crayon" else ink), float) for c in COLOURS.values()], 1
        )
        for sharp in (True, False) if scale > 1 else (True,):
            weights = look_weights(kind, mirrored, style != "flat", max(SMALLEST, size), scale, sharp)
            cover = weights.sum(-1)
            inside = cover > 0.55
            under = ground[inside]
            drawn = (weights[inside] @ palette).reshape(len(under), -1, 3) + (under * (1 - cover[inside])[:, None])[
                :, None
            ]
            if style == "crayon":
                drawn += (under[:, None] - drawn) * CRAYON_PAPER
            errors = np.sqrt(((shown[inside][:, None] - drawn) ** 2).sum(-1)).mean(0)
            index = int(errors.argmin())
            best = min(best, (float(errors[index]), tuple(COLOURS)[index], style))
    return best


@lru_cache(maxsize=16384)
def look_weights(kind: str, mirrored: bool, lined: bool, size: int, scale: int, sharp: bool) -> NDArray[np.float32]:
    """(24, 24, 7) weights of tones as a picture of `scale` pixels to a 32nd shows them, or as one made larger does."""
    weights = sprite(kind, size * (scale if sharp else 1), size, lined, mirrored).astype(np.float32) / FULL
    planes = []
    for index in range(weights.shape[-1]):
        plane = Image.fromarray(np.ascontiguousarray(weights[..., index]))
        if not sharp:
            plane = plane.resize((size * scale, size * scale), Image.Resampling.BICUBIC)
        planes.append(np.clip(np.asarray(plane.resize((FRAME, FRAME), Image.Resampling.BOX)), 0, 1))
    return np.stack(planes, -1)
