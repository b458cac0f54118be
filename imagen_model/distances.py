"""How far one set of pictures is from another, by a Frechet and a kernel distance on arrays of features.

The distances take features and do not care whose they are. `drawn_world_features` are our own, need no download,
and are named in every report; a Frechet distance is called FID on Inception's features alone.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Features = NDArray[np.float64]
FEATURES_NAME = "drawn-world features v1"
SIDE = 32
COLOUR_LEVELS = 4
DIRECTIONS = 8
# Brings the products in the polynomial kernel to about 1, where it tells sets apart.
SCALE = 4.0


def drawn_world_features(images: Iterable[Image.Image]) -> Features:
    """(n, 176) features "drawn-world features v1": colours, edges and layout of pictures averaged to 32x32.

    They are the roots of 64 shares of a soft 4x4x4 colour histogram, 64 mean edge strengths (8 directions in each
    of 2x2 fields at two scales), and the mean colour of each of 4x4 fields, from -0.5 to 0.5; all times 4.
    """
    return np.stack([features_of(image) for image in images])


def features_of(image: Image.Image) -> Features:
    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float64) / 255
    grey = pixels.mean(-1)
    coarse = grey.reshape(SIDE // 2, 2, SIDE // 2, 2).mean((1, 3))
    fields = pixels.reshape(4, SIDE // 4, 4, SIDE // 4, 3).mean((1, 3)).ravel() - 0.5
    return np.concatenate((np.sqrt(colour_histogram(pixels)), edges(grey), edges(coarse), fields)) * SCALE


def colour_histogram(pixels: Features) -> Features:
    """(64,) shares, each pixel divided among its neighbouring levels so that small changes of colour change little."""
    levels = pixels.reshape(-1, 3) * (COLOUR_LEVELS - 1)
    near = np.maximum(0.0, 1 - np.abs(levels[:, :, None] - np.arange(COLOUR_LEVELS)))
    return np.einsum("pi,pj,pk->ijk", near[:, 0], near[:, 1], near[:, 2]).ravel() / len(levels)


def edges(grey: Features) -> Features:
    """(32,) mean gradient lengths in 8 directions, over each quarter of the picture."""
    down, right = np.gradient(grey)
    strength, angle = np.hypot(down, right), np.arctan2(down, right)
    sector = np.floor(angle / (2 * np.pi) * DIRECTIONS + 0.5).astype(int) % DIRECTIONS
    half = grey.shape[0] // 2
    split = np.stack([np.where(sector == one, strength, 0.0) for one in range(DIRECTIONS)])
    return split.reshape(DIRECTIONS, 2, half, 2, half).mean((2, 4)).ravel() * 4


def checked(first: Features, second: Features) -> tuple[Features, Features]:
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"features must be (pictures, features) of one width, got {first.shape} and {second.shape}")
    if min(len(first), len(second)) < 2:
        raise ValueError(f"a distance needs 2 pictures on each side at least, got {len(first)} and {len(second)}")
    return first, second


def frechet_distance(first: Features, second: Features) -> float:
    """Squared Frechet distance of the Gaussians with the two sets' means and covariances (as FID's, arXiv 1706.08500).

    Args:
        first, second: (pictures, features). With fewer pictures than features it is biased upwards: compare only
            distances of equal numbers.

    Raises:
        ValueError: arrays of other shapes, or fewer than 2 pictures.
    """
    first, second = checked(first, second)
    one, other = (np.atleast_2d(np.cov(values, rowvar=False)) for values in (first, second))
    # The trace of the root of a product of covariances is that of a symmetric matrix's root.
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ other @ root), 0, None)).sum()
    shift = ((first.mean(0) - second.mean(0)) ** 2).sum()
    return float(max(0.0, shift + np.trace(one) + np.trace(other) - 2 * cross))


def kernel_distance(first: Features, second: Features) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / features + 1)^3 (as KID's, arXiv 1801.01401).

    Unbiased, so sets of one distribution give values about 0, below it too.

    Raises:
        ValueError: arrays of other shapes, or fewer than 2 pictures.
    """
    first, second = checked(first, second)
    width = first.shape[1]

    def within(values: Features) -> float:
        kernel = (values @ values.T / width + 1) ** 3
        return float((kernel.sum() - np.trace(kernel)) / (len(values) * (len(values) - 1)))

    between = ((first @ second.T / width + 1) ** 3).mean()
    return float(within(first) + within(second) - 2 * between)
