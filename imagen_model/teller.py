"""The teller: a small Transformer decoder that says from the text encoder's states what scene a caption means, in the
one sentence that the model's world has for it. It is trained with the text encoder (`training.reading`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from .catalog import ModelNotFound

PAD, BEGIN, END = 0, 1, 2
MARKS = ("[PAD]", "[CLS]", "[SEP]")
LAYERS = 2
CONFIG, WEIGHTS = "config.json", "model.safetensors"


class Teller(nn.Module):
    """Args:
    words: that sentences are made of, lower case; longest: of a sentence with its marks; width: of the states.
    """

    def __init__(self, words: Sequence[str], longest: int, width: int) -> None:
        super().__init__()
        self.words, self.longest, self.width = [*MARKS, *words], longest, width
        self.number = {word: place for place, word in enumerate(self.words)}
        self.word, self.place = nn.Embedding(len(self.words), width), nn.Embedding(longest, width)
        self.norm = nn.LayerNorm(width)
        layer = nn.TransformerDecoderLayer(
            width, max(1, width // 32), 3 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, LAYERS)
        self.out = nn.Linear(width, len(self.words))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Teller:
        """Raises:
        ModelNotFound: there is none.
        """
        path = Path(folder)
        if not (path / CONFIG).is_file():
            raise ModelNotFound(
                f"{folder} has no {CONFIG}; a teller is written there by a training of the text encoder"
            )
        teller = cls(**json.loads((path / CONFIG).read_text(encoding="utf-8")))
        teller.load_state_dict(load_file(path / WEIGHTS))
        return teller.eval().requires_grad_(False)

    def save_pretrained(self, folder: str | Path) -> None:
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        config = {"words": self.words[len(MARKS) :], "longest": self.longest, "width": self.width}
        (path / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}, path / WEIGHTS
        )

    def forward(self, before: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """(batch, words) so far, (batch, tokens, width), (batch, tokens) bool -> (batch, words, all words) logits."""
        length = before.shape[1]
        causal = nn.Transformer.generate_square_subsequent_mask(length, device=before.device)
        hidden = self.word(before) + self.place(torch.arange(length, device=before.device))
        told = self.decoder(
            hidden, self.norm(states), tgt_mask=causal, tgt_is_causal=True, memory_key_padding_mask=~mask
        )
        return self.out(told).float()

    def numbers(self, sentence: str) -> list[int] | None:
        """Of the sentence's words between its marks; None where a word is unknown or there are too many."""
        found = [self.number.get(word) for word in sentence.lower().rstrip(".").split()]
        known = [one for one in found if one is not None]
        return None if len(known) < len(found) or len(found) + 2 > self.longest else [BEGIN, *known, END]

    def loss(self, sentences: Tensor, states: Tensor, mask: Tensor, hidden: float = 0.0) -> Tensor:
        """Mean cross-entropy of a word of (batch, words) sentences, `PAD` after their ends, in nats.

        Args:
            hidden: share of the words before it that a word is told without, from torch's own generator: what they make
                likely must then be read in the caption, also where it is unheard of.
        """
        before = sentences[:, :-1]
        lost = (torch.rand(before.shape) < hidden).to(before.device) & (before > END)
        logits = self(before.masked_fill(lost, PAD), states, mask)
        return F.cross_entropy(logits.flatten(0, 1), sentences[:, 1:].flatten(), ignore_index=PAD)

    @torch.no_grad()
    def log_probability(self, sentence: str, states: Tensor, mask: Tensor) -> float:
        """log p(sentence | caption) in nats, of a caption's states (1, tokens, width); -inf for what it never says."""
        numbers = self.numbers(sentence)
        if numbers is None:
            return float("-inf")
        said = torch.tensor([numbers], device=states.device)
        return -float(self.loss(said, states, mask)) * (len(numbers) - 1)

    @torch.no_grad()
    def tell(self, states: Tensor, mask: Tensor) -> str:
        """The sentence of one caption, its likeliest word after word."""
        said = torch.tensor([[BEGIN]], device=states.device)
        while said.shape[1] < self.longest and int(said[0, -1]) != END:
            word = self(said, states, mask)[:, -1].argmax(dim=-1, keepdim=True)
            said = torch.cat((said, word), dim=1)
        return " ".join(self.words[int(one)] for one in said[0, 1:] if int(one) != END)
