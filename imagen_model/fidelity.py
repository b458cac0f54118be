"""How near super-resolution comes to the fine drawing of the same scene: `python -m imagen_model.fidelity MODEL`.

Each picture begins as the drawing at the base's side, in the base's levels, so that only the stages are measured.
The scenes show pairs of colour and shape that no training picture held, and landscapes. Beside the stages stand
what needs no learning: the same 16x16 picture enlarged by NEAREST and by bicubic interpolation.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from .illustrations import worlds
from .illustrations.captions import caption
from .illustrations.drawing import draw
from .illustrations.scene import Scene
from .imagen import Imagen, single_thread_on_cpu
from .stages import Conditions, run_stage
from .text import tokenize
from .training.data import drawing

Enlarge = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Of one way to enlarge, to one side.

    Args:
        smooth, exact: mean PSNR in dB against the drawing with smoothed edges, which stages learn, and against
            `draw(scene, side)`, whose pixels are wholly one thing.
        shift: mean signed error of red, green and blue, in levels of 256.
        seconds: a picture.
    """

    way: str
    side: int
    smooth: float
    exact: float
    shift: tuple[float, float, float]
    seconds: float


def held_out_scenes(count: int, seed: int) -> list[Scene]:
    rng = random.Random(f"fidelity:{seed}")
    scenes: list[Scene] = []
    for index in range(count):
        first, second = rng.sample(worlds.HELD_OUT_PAIRS, 2)
        match index % 4:
            case 0:
                scenes.append(worlds.single(rng, first))
            case 1:
                scenes.append(worlds.pair(rng, first, second, rng.choice(worlds.RELATIONS)))
            case 2:
                scenes.append(worlds.counted(rng, first, rng.choice((2, 3, 4))))
            case _:
                scenes.append(worlds.landscape(rng))
    return scenes


def measure(model: Imagen, count: int = 64, seed: int = 0, steps: int = 4) -> list[Fidelity]:
    """A row for each side and way; all start from the base's 16x16 drawings."""
    scenes = held_out_scenes(count, seed)
    base = torch.from_numpy(np.stack([drawing(scene, model.config.image_size) for scene in scenes]))
    if model.config.base_stage is None:
        base = torch.from_numpy(model.to_pictures(model.to_levels(base)))
    texts = [caption(scene, random.Random(index)) for index, scene in enumerate(scenes)]
    rows, low = [], base
    for index, net in enumerate(model.stages):
        side, before = net.config.image_size, low
        began = time.perf_counter()
        with single_thread_on_cpu(model.device):
            low = carry_on(model, index, texts, low, steps)
        seconds = (time.perf_counter() - began) / count
        rows += [
            compare("stages", side, low.numpy(), scenes, seconds),
            compare("bicubic", side, resized(base, side, Image.Resampling.BICUBIC), scenes, 0.0),
            compare("nearest", side, resized(base, side, Image.Resampling.NEAREST), scenes, 0.0),
        ]
        if index > 0:
            rows.append(
                compare("stage before, bicubic", side, resized(before, side, Image.Resampling.BICUBIC), scenes, 0.0)
            )
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


def compare(way: str, side: int, made: np.ndarray, scenes: list[Scene], seconds: float) -> Fidelity:
    smooth = np.stack([drawing(scene, side) for scene in scenes]).astype(float)
    exact = np.stack([draw(scene, side) for scene in scenes]).astype(float)
    red, green, blue = (float(shift) for shift in (made - smooth).mean((0, 1, 2)))
    return Fidelity(way, side, psnr(made, smooth), psnr(made, exact), (red, green, blue), seconds)


def psnr(made: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the pictures, in dB; a perfect picture counts as 99."""
    errors = ((made - truth) ** 2).mean((1, 2, 3))
    return float(np.minimum(10 * np.log10(255**2 / np.maximum(errors, 1e-9)), 99).mean())


def as_table(rows: list[Fidelity]) -> str:
    lines = [
        "| to | way | PSNR, smoothed drawing | PSNR, hard drawing | mean error R, G, B | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        shift = ", ".join(f"{value:+.2f}" for value in row.shift)
        lines.append(
            f"| {row.side} | {row.way} | {row.smooth:.1f} dB | {row.exact:.1f} dB | {shift} | {row.seconds:.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    chosen = Imagen.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "imagen-small")
    print(as_table(measure(chosen, steps=int(sys.argv[2]) if len(sys.argv) > 2 else 4)))
