"""Thumbnails, 64 to an image file, so that a gallery of 100,000 pictures asks for a few files a screen.

A file's name holds a hash of the pictures in it: one that is there is right, and a report of a run that has grown or
was retried makes only what is new.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from PIL import Image

from ..formats import OutputFormat
from ..formats.layout import Picture
from ..manifest import Entry
from ..reporting import FOLDER
from ..storage import Store

SPRITES = f"{FOLDER}sprites"  # hidden, so that a reader of image folders does not take them for data
ACROSS = 8
BLOCK = ACROSS * ACROSS  # thumbnails a file
TILE = 128  # pixels of a thumbnail's side at most
GUTTER = 4  # pixels around each that repeat its edge: WebP and scaling mix neighbouring pixels
LOSSLESS = 32  # thumbnails so small are pixel art, which a lossy code would smear
QUALITY, METHOD = 80, 2
VERSION = b"1"  # to be counted up when thumbnails of the same pictures are to look otherwise


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: entries are dicts
class Sprite:
    """Up to 64 successes of one shard, row by row.

    Args:
        key: of the image file.
        tile: pixels of a thumbnail's side.
    """

    key: str
    tile: int
    entries: tuple[Entry, ...]

    @property
    def down(self) -> int:
        """Rows of thumbnails."""
        return -(-len(self.entries) // ACROSS)


def sprites_of(shard: int, successes: Sequence[Entry]) -> list[Sprite]:
    """Args:
    successes: entries with `sha256`, `width` and `height`, in order.
    """
    found = []
    for start in range(0, len(successes), BLOCK):
        entries = tuple(successes[start : start + BLOCK])
        tile = min(TILE, max(max(entry["width"], entry["height"]) for entry in entries))
        digest = hashlib.sha256(VERSION + b"%d" % tile)
        for entry in entries:
            digest.update(bytes.fromhex(entry["sha256"]))
        name = f"{SPRITES}/{shard:05d}-{start // BLOCK}-{digest.hexdigest()[:12]}.webp"
        found.append(Sprite(name, tile, entries))
    return found


def write_sprites(store: Store, layout: OutputFormat, sprites: dict[int, list[Sprite]]) -> int:
    """Make the files that are not there; returns the number of pictures read for it.

    Args:
        sprites: of each shard.
    """
    present = {found.key for found in store.list(SPRITES) if found.size}
    missing = {shard: [each for each in of_shard if each.key not in present] for shard, of_shard in sprites.items()}
    wanted = [(shard, of_shard) for shard, of_shard in missing.items() if of_shard]

    def write(shard: int, of_shard: list[Sprite]) -> int:
        entries = [entry for sprite in of_shard for entry in sprite.entries]
        pictures = layout.pictures(store, shard, entries)
        for sprite in of_shard:
            store.put(sprite.key, draw(sprite, pictures), durable=False)
        return len(entries)

    # Pillow leaves the interpreter's lock while it decodes, resizes and encodes.
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="sprites") as threads:
        futures = [threads.submit(write, *each) for each in wanted]
        try:
            drawn = sum(future.result() for future in futures)
        except BaseException:
            threads.shutdown(wait=True, cancel_futures=True)
            raise
    if wanted:
        store.flush(SPRITES)
    return drawn


def draw(sprite: Sprite, pictures: Iterator[Picture]) -> bytes:
    """WebP; takes the sprite's pictures off the front of `pictures`. One that cannot be read leaves its place empty."""
    cell = sprite.tile + 2 * GUTTER
    sheet = np.zeros((sprite.down * cell, ACROSS * cell, 3), np.uint8)
    covered = np.zeros(sheet.shape[:2], np.uint8)
    for index, (_, data) in enumerate(islice(pictures, len(sprite.entries))):
        small = thumbnail(data, sprite.tile)
        if small is not None:
            top = index // ACROSS * cell + (cell - small.height) // 2
            left = index % ACROSS * cell + (cell - small.width) // 2
            put(sheet, covered, top, left, np.asarray(small))
    picture = Image.fromarray(sheet)
    if not covered.all():
        picture.putalpha(Image.fromarray(covered))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", lossless=sprite.tile <= LOSSLESS, quality=QUALITY, method=METHOD)
    return buffer.getvalue()


def put(sheet: np.ndarray, covered: np.ndarray, top: int, left: int, pixels: np.ndarray) -> None:
    """Place a thumbnail with its gutter.

    Args:
        sheet: (rows, columns, 3); covered: (rows, columns), 255 where something is.
        pixels: (height, width, 3).
    """
    bottom, right = top + pixels.shape[0], left + pixels.shape[1]
    sheet[top:bottom, left:right] = pixels
    sheet[top:bottom, left - GUTTER : left] = pixels[:, :1]
    sheet[top:bottom, right : right + GUTTER] = pixels[:, -1:]
    wide = slice(left - GUTTER, right + GUTTER)
    sheet[top - GUTTER : top, wide] = sheet[top, wide]
    sheet[bottom : bottom + GUTTER, wide] = sheet[bottom - 1, wide]
    covered[top - GUTTER : bottom + GUTTER, wide] = 255


def thumbnail(data: bytes | None, side: int) -> Image.Image | None:
    """RGB, the longer side being `side`; None for what is no picture."""
    if data is None:
        return None
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.draft("RGB", (side, side))  # a JPEG is decoded at a fraction of its size
            scale = side / max(picture.size)
            size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
            small = picture.convert("RGB")
            if size == small.size:
                return small
            way = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
            return small.resize(size, way, reducing_gap=2.0)
    except Exception:  # Pillow raises many kinds for damaged files; `verify` is who tells of them
        return None
