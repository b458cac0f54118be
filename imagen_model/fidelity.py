"""How near super-resolution comes to the fine drawing of the same scene.

Each picture begins as the drawing at the base's side, in the base's levels, so that only the stages are measured, on
scenes that training never shows. Beside the stages stand what needs no learning: the same picture enlarged by NEAREST
and by bicubic interpolation.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from .devices import single_thread_on_cpu
from .imagen import Imagen
from .stages import Conditions, run_stage
from .text import tokenize
from .worlds import World, find_world


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Of one way to enlarge, to one side.

    Args:
        psnr: mean over the pictures in dB, against the drawing at that side.
        shift: mean signed error of red, green and blue, in levels of 256.
        seconds: a picture, on this machine as it is.
    """

    way: str
    side: int
    psnr: float
    shift: tuple[float, float, float]
    seconds: float


def held_out_scenes(world: World, count: int, seed: int) -> list[Any]:
    """`count` scenes, as even over the categories as it goes."""
    categories = world.held_out_categories
    asked = [world.questions(category, -(-count // len(categories)), seed, True) for category in categories]
    return [question.scene for row in zip(*asked, strict=True) for question in row][:count]


def measure(model: Imagen, count: int = 64, seed: int = 0, steps: int = 4) -> list[Fidelity]:
    """A row for each side and way; all start from drawings at the base's side."""
    world = find_world(model.config.world)
    scenes = held_out_scenes(world, count, seed)
    base = torch.from_numpy(np.stack([world.picture(scene, model.config.image_size) for scene in scenes]))
    if model.config.base_stage is None:
        base = torch.from_numpy(model.to_pictures(model.to_levels(base)))
    texts = [world.caption(scene, random.Random(index)) for index, scene in enumerate(scenes)]
    rows: list[Fidelity] = []
    low = base
    for index, net in enumerate(model.stages):
        side, before = net.config.image_size, low
        began = time.perf_counter()
        with single_thread_on_cpu(model.device):
            low = carry_on(model, index, texts, low, steps)
        seconds = (time.perf_counter() - began) / count
        truth = np.stack([world.picture(scene, side) for scene in scenes]).astype(float)
        rows.append(compare("stages", side, low.numpy(), truth, seconds))
        for way, start in (("bicubic", base), ("nearest", base), ("stage before, bicubic", before)):
            if way.startswith("stage") and index == 0:
                continue
            filter = Image.Resampling.NEAREST if way == "nearest" else Image.Resampling.BICUBIC
            rows.append(compare(way, side, resized(start, side, filter), truth, 0.0))
    return rows


@torch.inference_mode()
def carry_on(model: Imagen, index: int, texts: list[str], low: torch.Tensor, steps: int) -> torch.Tensor:
    """One stage on many pictures; guidance steers away from the empty text."""
    limit, rows = model.config.max_text_tokens, len(texts)
    ids, mask = tokenize(model.tokenizer, [*texts, *[""] * rows], limit, limit)
    mask = mask.to(model.device)
    states = model.text_states(ids.to(model.device), mask)
    conditions = Conditions(states[:rows], mask[:rows], states[rows:], mask[rows:], range(rows))
    net = model.stages[index]
    scales = [net.config.guidance_scale] * rows
    stream = f"super_resolution[{index}]"
    return run_stage(net, stream, conditions, net.config.inference_steps or steps, scales, low)


def resized(pictures: torch.Tensor, side: int, way: Image.Resampling) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(picture.numpy()).resize((side, side), way)) for picture in pictures])


def compare(way: str, side: int, made: np.ndarray, truth: np.ndarray, seconds: float) -> Fidelity:
    red, green, blue = (float(shift) for shift in (made - truth).mean((0, 1, 2)))
    return Fidelity(way, side, psnr(made, truth), (red, green, blue), seconds)


def psnr(made: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the pictures, in dB; a perfect picture counts as 99."""
    errors = ((made - truth) ** 2).mean((1, 2, 3))
    return float(np.minimum(10 * np.log10(255**2 / np.maximum(errors, 1e-9)), 99).mean())
