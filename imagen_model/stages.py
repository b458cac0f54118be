"""One diffusion stage at work: text states, seeds and low-resolution pictures in, pictures out, tile by tile.

A row's arithmetic must not depend on its neighbours: the network only ever runs on `stage_tile` rows, short tiles
filled up with copies, and every number of noise is drawn from the row's own seed, in a stream of the stage's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from . import diffusion
from .denoising_unet import DenoisingUNet
from .sampling import normals

# On a CPU a picture of a stage fills the core by itself; a GPU wants several.
CPU_STAGE_TILE = 1
GPU_STAGE_TILE = 8


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a stage's pictures are to show, a row each.

    Args:
        states, mask: (rows, tokens, text hidden) and (rows, tokens): the prompts as the text encoder reads them.
        away, away_mask: the same of what guidance steers away from; None where no stage is guided.
        seeds: of each row.
    """

    states: Tensor
    mask: Tensor
    away: Tensor | None
    away_mask: Tensor | None
    seeds: Sequence[int]

    def rows(self, chosen: list[int]) -> Conditions:
        away = None if self.away is None else self.away[chosen]
        away_mask = None if self.away_mask is None else self.away_mask[chosen]
        return Conditions(self.states[chosen], self.mask[chosen], away, away_mask, [self.seeds[row] for row in chosen])


# Told of a row: the steps that are done, and its clean picture (side, side, 3) uint8 as predicted.
StepWatcher = Callable[[int, Callable[[], Tensor]], None]


def to_signal(pictures: Tensor) -> Tensor:
    """(rows, side, side, 3) uint8 -> (rows, 3, side, side) from -1 to 1."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_bytes(signal: Tensor) -> Tensor:
    """(rows, 3, side, side) -> (rows, side, side, 3) uint8, rounded, on the CPU."""
    return ((signal.float().cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def stage_tile(device: torch.device) -> int:
    return CPU_STAGE_TILE if device.type == "cpu" else GPU_STAGE_TILE


def run_stage(
    net: DenoisingUNet,
    stream: str,
    conditions: Conditions,
    steps: int,
    scales: Sequence[float],
    low: Tensor | None = None,
    watchers: dict[int, StepWatcher] | None = None,
) -> Tensor:
    """The stage's pictures, (rows, side, side, 3) uint8 on the CPU.

    Args:
        stream: name of the stage's own noise.
        steps: of the sampler.
        scales: guidance of each row; all 1 is none.
        low: (rows, low side, low side, 3) uint8, of a super-resolution stage.
        watchers: by row.
    """
    rows, tile = len(conditions.seeds), stage_tile(conditions.states.device)
    pictures = []
    for start in range(0, rows, tile):
        chosen = [min(row, rows - 1) for row in range(start, start + tile)]
        told = {at: watchers[row] for at, row in enumerate(range(start, min(start + tile, rows)))
                if watchers and row in watchers}  # fmt: skip
        made = sample_tile(
            net,
            stream,
            conditions.rows(chosen),
            steps,
            torch.tensor([scales[row] for row in chosen]),
            None if low is None else low[chosen],
            told,
        )
        pictures.append(to_bytes(made))
    return torch.cat(pictures)[:rows]


@torch.inference_mode()
def sample_tile(
    net: DenoisingUNet,
    stream: str,
    conditions: Conditions,
    steps: int,
    scales: Tensor,
    low: Tensor | None,
    watchers: dict[int, StepWatcher],
) -> Tensor:
    config, device, seeds = net.config, conditions.states.device, conditions.seeds
    guided = bool((scales != 1).any())
    text = net.read_text(conditions.states, conditions.mask)
    if guided:
        assert conditions.away is not None and conditions.away_mask is not None
        away = net.read_text(conditions.away, conditions.away_mask)
        text = type(text)(*(torch.cat(pair) for pair in zip(text, away, strict=True)))
    copies, dtype = 2 if guided else 1, text.states.dtype
    rows = copies * len(seeds)
    level = torch.full((rows,), config.augmentation, device=device)
    if low is not None:
        low = to_signal(low)
        if config.augmentation:
            grain = normals(seeds, low.shape[1:], f"{stream}/augmentation")
            low = diffusion.noised(low, grain, torch.full((len(seeds),), config.augmentation))
        low = low.to(device, dtype).repeat(copies, 1, 1, 1)

    def denoise(image: Tensor, time: float) -> Tensor:
        times = torch.full((rows,), time, device=device)
        clean = net(image.to(dtype).repeat(copies, 1, 1, 1), times, text, low, None if low is None else level).float()
        return diffusion.threshold(diffusion.guided(clean, scales.to(device)) if guided else clean, config.threshold)

    def fresh(step: int) -> Tensor:
        return normals(seeds, shape, f"{stream}/step {step}").to(device)

    def tell(done: int, clean: Tensor) -> None:
        for row, watcher in watchers.items():
            watcher(done, lambda row=row: to_bytes(clean[row : row + 1])[0])  # type: ignore[misc]

    shape = (3, config.image_size, config.image_size)
    noise = normals(seeds, shape, stream).to(device)
    times = diffusion.sampling_times(steps, config.shift)
    return diffusion.sample(denoise, noise, times, config.sampler, fresh, tell if watchers else None)
