"""Blocks shared by the Transformer encoder and the pixel decoder: pre-norm, RMSNorm, QK-norm, SwiGLU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020): down(silu(gate) * up), with gate and up in one product."""

    def __init__(self, hidden_size: int, inner_size: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(hidden_size, eps=1e-6)
        self.gate_up = nn.Linear(hidden_size, 2 * inner_size, bias=False)
        self.down = nn.Linear(inner_size, hidden_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        gate, up = self.gate_up(self.norm(hidden)).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Attention(nn.Module):
    """Self-attention whose keys and values begin with those of the text, where there is one.

    The published Imagen conditions this way: text states are concatenated to the keys and values of each
    self-attention (arXiv 2205.11487, section 2.3); they have projections of their own here.
    """

    def __init__(self, hidden_size: int, num_heads: int, sees_text: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.RMSNorm(hidden_size, eps=1e-6)
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)
        head_size = hidden_size // num_heads
        self.query_norm = nn.RMSNorm(head_size, eps=1e-6)
        self.key_norm = nn.RMSNorm(head_size, eps=1e-6)
        self.text_kv = nn.Linear(hidden_size, 2 * hidden_size, bias=False) if sees_text else None

    def heads(self, states: Tensor) -> Tensor:
        """(batch, length, hidden) -> (batch, heads, length, hidden / heads)"""
        return states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def project(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of each position, (batch, heads, length, head size) each."""
        query, key, value = (self.heads(part) for part in self.qkv(self.norm(hidden)).chunk(3, dim=-1))
        return self.query_norm(query), self.key_norm(key), value

    def project_text(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Key and value of each text token, (batch, heads, tokens, head size) each."""
        assert self.text_kv is not None
        key, value = (self.heads(part) for part in self.text_kv(text).chunk(2, dim=-1))
        return self.key_norm(key), value

    def forward(self, hidden: Tensor, mask: Tensor, text: Tensor | None = None) -> Tensor:
        """`mask` (batch, 1, length, tokens + length), true where a query may look."""
        query, key, value = self.project(hidden)
        if text is not None:
            text_key, text_value = self.project_text(text)
            key, value = torch.cat((text_key, key), dim=2), torch.cat((text_value, value), dim=2)
        mixed = F.scaled_dot_product_attention(query, key.to(query.dtype), value, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, inner_size: int, sees_text: bool) -> None:
        super().__init__()
        self.attention = Attention(hidden_size, num_heads, sees_text)
        self.feed_forward = FeedForward(hidden_size, inner_size)

    def forward(self, hidden: Tensor, mask: Tensor, text: Tensor | None = None) -> Tensor:
        hidden = hidden + self.attention(hidden, mask, text)
        return hidden + self.feed_forward(hidden)
