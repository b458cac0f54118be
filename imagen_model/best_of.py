"""Best of n: several candidates of one picture, and which of them the model itself finds most likely for the prompt, or
which the judge in its folder finds best: a CLIP, or its captioner with a teller.

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
from typing import TYPE_CHECKING, Protocol

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from .catalog import CAPTIONER
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


class Judge(Protocol):
    """What chooses among candidates, and is saved with its model.

    Attributes:
        name: in the model's configuration.
        likelihood_share: how much of a pixel decoder's log p(picture | prompt) is added to its scores.
    """

    name: str
    likelihood_share: float

    def scores(self, pictures: Tensor, prompts: Sequence[str], states: Tensor, mask: Tensor) -> Tensor:
        """(rows,) float64 on the CPU, the better the higher, each row computed alone, so that none depends on its
        neighbours.

        Args:
            pictures: (rows, side, side, 3) uint8.
            states, mask: (rows, tokens, text hidden) and (rows, tokens), of the text encoder.
        """
        ...

    def save_pretrained(self, folder: str | Path) -> None:
        """Into the model's folder."""
        ...


class ClipJudge:
    """The cosine of a picture with its prompt, by the CLIP in a model's subfolder `clip/`."""

    name = CLIP
    likelihood_share = 0.0

    def __init__(self, clip: Clip) -> None:
        self.clip = clip

    def save_pretrained(self, folder: str | Path) -> None:
        self.clip.save_pretrained(Path(folder) / CLIP)

    def scores(self, pictures: Tensor, prompts: Sequence[str], states: Tensor, mask: Tensor) -> Tensor:
        pairs = zip(pictures, prompts, strict=True)
        return torch.cat([self.clip.cosines([Image.fromarray(one.numpy())], [text]) for one, text in pairs]).double()


def find_judge(model: Imagen) -> Judge | None:
    """That which the model's configuration names; None where a pixel decoder itself chooses.

    Raises:
        ModelNotFound: the model's folder does not hold it.
    """
    folder, device = Path(model.name_or_path or "."), str(model.device)
    if model.judge is None and model.config.judge == CLIP:
        from .clip import Clip

        model.judge = ClipJudge(Clip.from_pretrained(folder / CLIP, device))
    elif model.judge is None and model.config.judge == CAPTIONER:
        from .caption_judge import CaptionJudge

        model.judge = CaptionJudge.from_pretrained(folder, device)
    return model.judge
