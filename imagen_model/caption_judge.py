"""The captioner as a judge of candidates: it reads the picture, and the teller says how likely what it has read is,
given the prompt. What the prompt leaves open may be as it likes; what it says must be there. CogView ranks its pictures
by how likely the prompt is given each (arXiv 2105.13290, section 3.3); here a picture is read once, in fixed words, so
that no paraphrase is more likely than another.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from .captioner import Captioner
from .catalog import CAPTIONER
from .devices import single_thread_on_cpu
from .teller import Teller

TELLER = "teller"  # the subfolder
# A sentence that the teller never says is worse than all that it says.
UNHEARD = -1e4


class CaptionJudge:
    """A captioner and a teller whose sentences are the same."""

    name = CAPTIONER
    # Pictures that read the same are told apart by how likely they are pixel by pixel: the better formed is kept.
    likelihood_share = 0.1

    def __init__(self, captioner: Captioner, teller: Teller) -> None:
        self.captioner, self.teller = captioner, teller

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "auto") -> CaptionJudge:
        """That of a model's folder.

        Raises:
            ModelNotFound: its captioner or its teller is missing.
        """
        captioner = Captioner.from_pretrained(Path(folder) / CAPTIONER, device=device)
        return cls(captioner, Teller.from_pretrained(Path(folder) / TELLER).to(captioner.model.device))

    def save_pretrained(self, folder: str | Path) -> None:
        """Both parts into a model's folder."""
        self.captioner.save_pretrained(Path(folder) / CAPTIONER)
        self.teller.save_pretrained(Path(folder) / TELLER)

    def scores(self, pictures: Tensor, prompts: Sequence[str], states: Tensor, mask: Tensor) -> Tensor:
        """(rows,) float64 on the CPU: log p(what is read in the picture | its prompt) in nats, each row computed alone.

        Args:
            pictures: (rows, side, side, 3) uint8.
            states, mask: (rows, tokens, text hidden) and (rows, tokens), of the text encoder.
        """
        read = self.captioner.caption([Image.fromarray(one.numpy()) for one in pictures])
        found = []
        with single_thread_on_cpu(states.device):
            for row, caption in enumerate(read):
                likely = self.teller.log_probability(caption.text, states[row : row + 1], mask[row : row + 1])
                found.append(max(likely, UNHEARD))
        return torch.tensor(found, dtype=torch.float64)
