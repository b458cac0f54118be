"""Best of n: several candidates of one picture, and which of them the model itself finds most likely for the prompt.

What is unusual: candidate 0 is drawn with the request's own seed, and every candidate is the picture that a plain
request with its seed gives, so that the one that is kept can be made again without the others.

The score is log p(picture | prompt). It was compared with log p(picture | prompt) - log p(picture | ""), by how many
of 40 pictures are right: `imagen-small`, best of 4, with the mean of the 4 candidates and how often any was right.

                          mean   log p(x | c)   log p(x | c) - log p(x)   any
    colours, seen         36.5   38             30                        40
    colours, held out     34.8   39             30                        40
    two objects, seen     11.5   12             10                        31
    two objects, held out  9.2   15              4                        28
    counting, seen        27.8   32             24                        38
    counting, held out    27.2   28             23                        39

The difference prefers what is unlike other pictures, malformed ones first. Pictures are the base's own, whose levels
alone are scored.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from .imagen import Imagen


def candidate_seed(seed: int, candidate: int) -> int:
    """0 to 2**32 - 1, from the request's seed and the candidate's number; candidate 0 has the seed itself."""
    if candidate == 0:
        return seed
    digest = hashlib.sha256(f"candidate {candidate} of seed {seed}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


@torch.inference_mode()
def log_likelihoods(model: Imagen, levels: Tensor, states: Tensor, mask: Tensor) -> Tensor:
    """log p(picture | text) of each row in nats, (rows,) float64 on the CPU.

    Args:
        levels: (rows, positions, 3) of the base's pictures.
        states, mask: (rows, tokens, text hidden) and (rows, tokens), of the text encoder.
    """
    logits = model.decoder(levels, model.text_transformer(states, mask), mask)
    lost = F.cross_entropy(logits.flatten(0, 2), levels.flatten(), reduction="none")
    return -lost.view(levels.shape[0], -1).cpu().double().sum(dim=1)
