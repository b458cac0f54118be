"""From a prompt to the states that the decoder looks at: tokenizer, text encoder, Transformer encoder.

The text encoder is any that transformers loads as one: a frozen BERT or T5 from a folder or the hub, or the
bundled checkpoint's own small BERT, trained with the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForTextEncoding, BertConfig, BertModel, PreTrainedConfig

from .config import ImagenConfig
from .layers import Block

KNOWN_TEXTS = 4096  # whose number of tokens is kept


def text_encoder_config(config: ImagenConfig) -> PreTrainedConfig:
    """The text encoder's own configuration object."""
    fields: dict[str, Any] = dict(config.text_config or {})
    return AutoConfig.for_model(fields.pop("model_type", "bert"), **fields)


def build_text_encoder(config: ImagenConfig) -> nn.Module:
    """The text encoder with weights not yet loaded."""
    encoder_config = text_encoder_config(config)
    if isinstance(encoder_config, BertConfig):
        return BertModel(encoder_config, add_pooling_layer=False)
    return AutoModelForTextEncoding.from_config(encoder_config)


class TextTransformer(nn.Module):
    """The Transformer encoder over the text states, at the decoder's width."""

    def __init__(self, config: ImagenConfig, text_hidden_size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(text_hidden_size)
        self.project = nn.Linear(text_hidden_size, config.hidden_size)
        self.blocks = nn.ModuleList(
            Block(config.hidden_size, config.num_heads, config.feed_forward_size, sees_text=False)
            for _ in range(config.encoder_layers)
        )
        self.final_norm = nn.LayerNorm(config.hidden_size)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """(batch, tokens, text hidden), (batch, tokens) bool -> (batch, tokens, hidden)"""
        hidden = self.project(self.norm(states))
        for block in self.blocks:
            hidden = block(hidden, mask[:, None, None, :])
        return self.final_norm(hidden)


class PromptTooLong(ValueError):
    """A prompt of more tokens than the model takes; `tokens` is how many it has."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(f"prompt has {tokens} tokens, this model takes at most {limit}; shorten it")
        self.tokens = tokens


def tokenize(
    tokenizer: Any, texts: Sequence[str], length: int | None, limit: int, cut: bool = False
) -> tuple[Tensor, Tensor]:
    """Token ids and mask, (batch, length) each.

    Args:
        length: pad to this; None pads to the longest of the batch.
        limit: most tokens that a text may have.
        cut: whether a longer text is cut, as of a collection to learn from, or refused, as of a user.

    Raises:
        PromptTooLong: a text has more, and is not to be cut.
    """
    rows = [tokenizer(text, truncation=cut, max_length=limit if cut else None)["input_ids"] for text in texts]
    for row in rows:
        if len(row) > limit:
            raise PromptTooLong(len(row), limit)
    width = length or max(len(row) for row in rows)
    padding = tokenizer.pad_token_id or 0
    ids = torch.full((len(rows), width), padding, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = True
    return ids, mask


def count_tokens(tokenizer: Any, limit: int, text: str) -> int:
    """Of one text, special ones included.

    Raises:
        PromptTooLong: it has more than `limit`.
    """
    tokens = len(tokenizer(text)["input_ids"])
    if tokens > limit:
        raise PromptTooLong(tokens, limit)
    return tokens
