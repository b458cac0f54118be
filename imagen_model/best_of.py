"""Best of n: several candidates of one picture, and which of them the model itself finds most likely for the prompt, or
which the CLIP in its folder finds nearest to the prompt.

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
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from .config import CLIP

if TYPE_CHECKING:
    from .clip import Clip
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


def find_judge(model: Imagen) -> Clip | None:
    """The CLIP that chooses among the model's candidates; None where the model itself does.

    Raises:
        ModelNotFound: the model's configuration names one that its folder does not hold.
    """
    if model.config.judge is None:
        return None
    if model.judge is None:
        from .clip import Clip

        model.judge = Clip.from_pretrained(Path(model.name_or_path or ".") / CLIP, str(model.device))
    return model.judge


def clip_scores(judge: Clip, pictures: Tensor, prompts: Sequence[str]) -> Tensor:
    """(rows,) float64 on the CPU: the cosine of each picture (side, side, 3) uint8 with its prompt, each computed
    alone, so that no row depends on its neighbours."""
    pairs = zip(pictures, prompts, strict=True)
    return torch.cat([judge.cosines([Image.fromarray(one.numpy())], [text]) for one, text in pairs]).double()
