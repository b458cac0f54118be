"""Flow matching with x-prediction: the path from noise to picture, the loss, guidance, thresholding, samplers.

    z_t = (1 - t) x + t e                 t = 1: noise, t = 0: the picture; values from -1 to 1
    v   = dz/dt = e - x = (z_t - x) / t

What is unusual: the network predicts the clean picture x and is held to the velocity v (arXiv 2511.13720). Predicted
pictures can be thresholded and show no colour shift; and an Euler step on this straight path is the DDIM step, so
that one line serves as both.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

# (rows, 3, side, side) at time t, and t -> the clean pictures as predicted.
Denoiser = Callable[[Tensor, float], Tensor]
# Below this time v's weight 1 / t**2 would let the last traces of noise rule the loss.
LEAST_TIME = 0.05


def noised(clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """z_t; `time` (rows,)."""
    t = time.view(-1, 1, 1, 1)
    return (1 - t) * clean + t * noise


def velocity_loss(clean: Tensor, predicted: Tensor, time: Tensor) -> Tensor:
    """Mean squared error of v = (z - x) / t, from that of x."""
    error = (clean - predicted.float()).square().mean((1, 2, 3))
    return (error / time.clamp(min=LEAST_TIME).square()).mean()


def shifted(time: Tensor, shift: float) -> Tensor:
    """Times moved towards noise: t -> s t / (1 + (s - 1) t), which keeps 0 and 1 (arXiv 2403.03206)."""
    return shift * time / (1 + (shift - 1) * time)


def training_times(rows: int, shift: float) -> Tensor:
    """(rows,) logit-normal times, from torch's own generator."""
    return shifted(torch.randn(rows).sigmoid(), shift)


def sampling_times(steps: int, shift: float) -> list[float]:
    """steps + 1 times from 1 to 0."""
    return shifted(torch.linspace(1, 0, steps + 1, dtype=torch.float64), shift).tolist()


def threshold(predicted: Tensor, percentile: float | None) -> Tensor:
    """The prediction brought into a picture's range (arXiv 2205.11487, section 2.3).

    Args:
        percentile: dynamic: where this share of a row's |values| ends beyond 1, the row is clipped there and divided
            by it; None is static: clipped to -1 .. 1.
    """
    if percentile is None:
        return predicted.clamp(-1, 1)
    limit = predicted.flatten(1).abs().quantile(percentile, dim=1).clamp(min=1).view(-1, 1, 1, 1)
    return predicted.clamp(-limit, limit) / limit


def guided(both: Tensor, scale: Tensor) -> Tensor:
    """Classifier-free guidance: `both` (2 * rows, ...) holds toward, then away; `scale` (rows,)."""
    toward, away = both.chunk(2)
    return away + scale.view(-1, 1, 1, 1) * (toward - away)


def sample(
    denoise: Denoiser,
    noise: Tensor,
    times: list[float],
    sampler: str = "euler",
    fresh: Callable[[int], Tensor] | None = None,
    after_step: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Follow the flow from noise to pictures.

    Args:
        noise: (rows, 3, side, side), standard normal.
        times: from 1 to 0, as `sampling_times` gives them.
        sampler: "euler" (which is DDIM here), "heun" or "ancestral" (DDPM).
        fresh: the noise of step i, for "ancestral".
        after_step: told after each step how many are done, and the clean pictures as predicted in it.
    """
    image = noise
    for step, (now, after) in enumerate(pairwise(times)):
        clean = denoise(image, now)
        velocity = (image - clean) / now
        if sampler == "ancestral" and after > 0:
            assert fresh is not None
            image = ancestral_step(clean, velocity, now, after, fresh(step))
        elif sampler == "heun" and after > 0:
            ahead = image + (after - now) * velocity
            velocity = (velocity + (ahead - denoise(ahead, after)) / after) / 2
            image = image + (after - now) * velocity
        else:
            image = image + (after - now) * velocity
        if after_step is not None:
            after_step(step + 1, clean)
    return image


def ancestral_step(clean: Tensor, velocity: Tensor, now: float, after: float, fresh: Tensor) -> Tensor:
    """A draw from q(z_after | z_now, x): part of the noise that there is gives way to fresh noise."""
    noise = clean + velocity  # e, since v = e - x
    kept = (1 - now) / (1 - after)
    variance = (now**2 - kept**2 * after**2) * after**2 / now**2
    return (1 - after) * clean + (after**2 - variance) ** 0.5 * noise + variance**0.5 * fresh
