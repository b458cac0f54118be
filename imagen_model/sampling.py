"""Randomness that belongs to the row, and the drawing of a value from it.

Every random number that a picture needs is drawn on the CPU from the picture's own seed: uniform ones for the pixel
decoder before it begins, a value then being the inverse of the cumulative distribution at that number; normal ones
for diffusion. No draw depends on the batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def uniforms(seeds: Sequence[int], count: int) -> Tensor:
    """(rows, count) in [0, 1), float32; row i depends on seeds[i] alone."""
    generator = torch.Generator()  # on the CPU, whatever the model's device
    return torch.stack([torch.rand(count, generator=generator.manual_seed(seed)) for seed in seeds])


def normals(seeds: Sequence[int], shape: Sequence[int], stream: str) -> Tensor:
    """(rows, *shape) standard normal, float32; row i depends on seeds[i] and `stream` alone.

    Args:
        stream: what the numbers are for; two streams of one seed have nothing in common.
    """
    generator = torch.Generator()
    rows = []
    for seed in seeds:
        digest = hashlib.sha256(f"{stream}:{seed}".encode()).digest()
        generator.manual_seed(int.from_bytes(digest[:7], "big"))
        rows.append(torch.randn(*shape, generator=generator))
    return torch.stack(rows)


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """How each row draws from its distribution; tensors of shape (rows, 1).

    Args:
        temperature: 0 takes the most likely value.
        top_k: only the k most likely values may be drawn; 0 allows all.
        top_p: only the most likely values that together reach this probability; 1 allows all.
    """

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor

    @classmethod
    def of(
        cls, temperature: Sequence[float], top_k: Sequence[int], top_p: Sequence[float], device: torch.device
    ) -> SamplingParameters:
        return cls(
            torch.tensor(temperature, device=device, dtype=torch.float32)[:, None],
            torch.tensor(top_k, device=device)[:, None],
            torch.tensor(top_p, device=device, dtype=torch.float32)[:, None],
        )


def draw(logits: Tensor, uniform: Tensor, parameters: SamplingParameters) -> Tensor:
    """One value a row.

    Args:
        logits: (rows, levels), float32.
        uniform: (rows, 1) in [0, 1).

    Returns:
        (rows,) int64 levels.
    """
    levels = logits.shape[-1]
    # Temperature 0 is the limit of small ones; 1e-4 makes the most likely value certain in float32.
    ordered, order = torch.sort(logits / parameters.temperature.clamp(min=1e-4), dim=-1, descending=True, stable=True)
    probabilities = ordered.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    rank = torch.arange(levels, device=logits.device)
    allowed = (before < parameters.top_p) & ((rank < parameters.top_k) | (parameters.top_k == 0))
    allowed[:, 0] = True
    reach = (probabilities * allowed).cumsum(dim=-1)
    chosen = (reach <= uniform * reach[:, -1:]).sum(dim=-1, keepdim=True).clamp(max=levels - 1)
    return order.gather(1, chosen)[:, 0]
