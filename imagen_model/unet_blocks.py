"""Blocks of the efficient U-Net (arXiv 2205.11487, appendix B): residual convolutions told of time and text,
attention to the text, downsampling before and upsampling after a level's convolutions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import FeedForward


def wave_features(values: Tensor, size: int) -> Tensor:
    """(rows,) in 0 .. 1 -> (rows, size) sines and cosines of falling frequency."""
    frequencies = torch.exp(torch.arange(size // 2, device=values.device) * (-math.log(10_000) / (size // 2)))
    angles = 1000 * values.float()[:, None] * frequencies
    return torch.cat((angles.sin(), angles.cos()), dim=-1)


class WaveEmbedding(nn.Module):
    """A number from 0 to 1 (a time, a level of noise) as (rows, size)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, values: Tensor) -> Tensor:
        features = wave_features(values, self.inner.in_features).to(self.inner.weight.dtype)
        return self.outer(F.silu(self.inner(features)))


def group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(channels, 32), channels)


class ResidualBlock(nn.Module):
    """Norm, SiLU, convolution, twice; the second norm is scaled and shifted by what the block is told."""

    def __init__(self, channels_in: int, channels: int, embedding_size: int) -> None:
        super().__init__()
        self.norm_in, self.norm_out = group_norm(channels_in), group_norm(channels)
        self.convolve_in = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.convolve_out = nn.Conv2d(channels, channels, 3, padding=1)
        self.scale_shift = nn.Linear(embedding_size, 2 * channels)
        self.shortcut = nn.Conv2d(channels_in, channels, 1) if channels_in != channels else nn.Identity()
        nn.init.zeros_(self.convolve_out.weight)  # a new block changes nothing

    def forward(self, hidden: Tensor, told: Tensor) -> Tensor:
        """(rows, channels in, side, side), (rows, embedding) -> (rows, channels, side, side)"""
        inner = self.convolve_in(F.silu(self.norm_in(hidden)))
        scale, shift = self.scale_shift(told)[:, :, None, None].chunk(2, dim=1)
        inner = self.norm_out(inner) * (1 + scale) + shift
        return self.shortcut(hidden) + self.convolve_out(F.silu(inner))


class TextAttention(nn.Module):
    """Each cell looks at the text, and at all cells too where `sees_cells`: one set of keys and values."""

    def __init__(self, channels: int, head_size: int, text_size: int, sees_cells: bool, sees_text: bool) -> None:
        super().__init__()
        self.heads = channels // head_size
        self.norm = nn.RMSNorm(channels, eps=1e-6)
        self.query = nn.Linear(channels, channels, bias=False)
        self.cells = nn.Linear(channels, 2 * channels, bias=False) if sees_cells else None
        self.text = nn.Linear(text_size, 2 * channels, bias=False) if sees_text else None
        self.query_norm, self.key_norm = nn.RMSNorm(head_size, eps=1e-6), nn.RMSNorm(head_size, eps=1e-6)
        self.out = nn.Linear(channels, channels, bias=False)
        self.feed_forward = FeedForward(channels, 2 * channels)

    def split(self, states: Tensor) -> Tensor:
        """(rows, length, channels) -> (rows, heads, length, head size)"""
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, hidden: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
        """(rows, channels, side, side), (rows, tokens, text size), (rows, tokens) -> as `hidden`."""
        cells = hidden.flatten(2).transpose(1, 2)
        normed = self.norm(cells)
        sources = []
        if self.text is not None:
            sources.append((self.text(text), text_mask))
        if self.cells is not None:
            sources.append((self.cells(normed), text_mask.new_ones(normed.shape[:2])))
        key, value = torch.cat([states for states, _ in sources], dim=1).chunk(2, dim=-1)
        mask = torch.cat([seen for _, seen in sources], dim=1)[:, None, None, :]
        query = self.query_norm(self.split(self.query(normed)))
        keys = self.key_norm(self.split(key)).to(query.dtype)
        mixed = F.scaled_dot_product_attention(query, keys, self.split(value).to(query.dtype), attn_mask=mask)
        cells = cells + self.out(mixed.transpose(1, 2).flatten(2))
        cells = cells + self.feed_forward(cells)
        return cells.transpose(1, 2).unflatten(-1, hidden.shape[-2:])


class Upsample(nn.Module):
    """Twice the side by a 1x1 convolution to four times the channels, which become 2x2 cells."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(channels_in, 4 * channels, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        return F.pixel_shuffle(self.widen(hidden), 2)
