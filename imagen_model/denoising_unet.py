"""The denoising U-Net: noisy pictures, a time and a text in, the clean pictures as predicted out.

    stem -> levels down -> levels up -> head            skips scaled by 1 / sqrt 2, one for each residual block

A super-resolution stage also sees the low-resolution picture, with noise of a level that it is told, and predicts
what has to be added to that picture enlarged. The grid is coarser than the picture by a pixel-unshuffle, so that a
CPU can carry it.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .denoiser_config import DenoiserConfig
from .unet_blocks import ResidualBlock, TextAttention, Upsample, WaveEmbedding, group_norm


class ReadText(NamedTuple):
    """What a stage makes of the text states, once for all steps.

    Args:
        states: (rows, tokens, text size); mask: (rows, tokens), bool; pooled: (rows, embedding).
    """

    states: Tensor
    mask: Tensor
    pooled: Tensor


class Layer(nn.Module):
    """A residual block and, where the level has it, attention."""

    def __init__(self, config: DenoiserConfig, level: int, channels_in: int, last: bool) -> None:
        super().__init__()
        channels, own, text = config.channels[level], config.self_attention[level], config.text_attention[level]
        attends = (own or text) and (last or config.attention_after == "block")
        self.block = ResidualBlock(channels_in, channels, config.embedding_size)
        self.attention = TextAttention(channels, config.head_size, config.text_size, own, text) if attends else None

    def forward(self, hidden: Tensor, told: Tensor, text: ReadText) -> Tensor:
        hidden = self.block(hidden, told)
        return hidden if self.attention is None else self.attention(hidden, text.states, text.mask)


class LevelDown(nn.Module):
    def __init__(self, config: DenoiserConfig, level: int) -> None:
        super().__init__()
        before, channels = config.channels[max(level - 1, 0)], config.channels[level]
        self.downsample = nn.Conv2d(before, channels, 3, stride=config.strides[level], padding=1)
        count = config.blocks[level]
        self.layers = nn.ModuleList(Layer(config, level, channels, block == count - 1) for block in range(count))


class LevelUp(nn.Module):
    def __init__(self, config: DenoiserConfig, level: int) -> None:
        super().__init__()
        before, channels = config.channels[max(level - 1, 0)], config.channels[level]
        count = config.blocks[level]
        self.layers = nn.ModuleList(Layer(config, level, 2 * channels, block == count - 1) for block in range(count))
        self.upsample = Upsample(channels, before) if config.strides[level] == 2 else nn.Conv2d(channels, before, 1)


class DenoisingUNet(nn.Module):
    """A base stage, or a super-resolution stage when `config.low_resolution_size` is given.

    Args:
        text_hidden_size: width of the text encoder's states.
    """

    def __init__(self, config: DenoiserConfig, text_hidden_size: int) -> None:
        super().__init__()
        self.config = config
        size, low = config.embedding_size, config.low_resolution_size
        pixel_channels = 3 * config.unshuffle**2
        low_channels = 0 if low is None else 3 * max(1, low * config.unshuffle // config.image_size) ** 2
        self.time = WaveEmbedding(size)
        self.level = None if low is None else WaveEmbedding(size)
        self.text_norm = nn.LayerNorm(text_hidden_size)
        self.text_project = nn.Linear(text_hidden_size, config.text_size)
        self.text_pool = nn.Linear(config.text_size, size)
        self.stem = nn.Conv2d(pixel_channels + low_channels, config.channels[0], 3, padding=1)
        levels = range(len(config.channels))
        self.down = nn.ModuleList(LevelDown(config, level) for level in levels)
        self.up = nn.ModuleList(LevelUp(config, level) for level in reversed(levels))
        self.head_norm = group_norm(config.channels[0])
        self.head = nn.Conv2d(config.channels[0], pixel_channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(cast("Tensor", self.head.bias))

    def read_text(self, states: Tensor, mask: Tensor) -> ReadText:
        """The text encoder's states (rows, tokens, text hidden) as this stage takes them."""
        projected = self.text_project(self.text_norm(states))
        seen = mask[..., None].to(projected.dtype)
        mean = (projected * seen).sum(1) / seen.sum(1).clamp(min=1)
        return ReadText(projected, mask, self.text_pool(F.silu(mean)))

    def forward(
        self, noisy: Tensor, time: Tensor, text: ReadText, low: Tensor | None = None, level: Tensor | None = None
    ) -> Tensor:
        """The clean pictures as predicted, (rows, 3, side, side), from about -1 to 1.

        Args:
            noisy: (rows, 3, side, side); any side that is a multiple of `config.granularity`.
            time: (rows,), 0 (clean) to 1 (noise).
            low: (rows, 3, low side, low side), noised to `level` (rows,); of a super-resolution stage.
        """
        told = self.time(time) + text.pooled
        cells = F.pixel_unshuffle(noisy, self.config.unshuffle)
        if low is not None:
            assert level is not None and self.level is not None
            told = told + self.level(level)
            cells = torch.cat((cells, to_grid(low, cells.shape[-1])), dim=1)
        hidden = self.stem(cells)
        change = self.head(F.silu(self.head_norm(self.body(hidden, F.silu(told), text))))
        change = F.pixel_shuffle(change, self.config.unshuffle)
        if low is None or level is None:
            return change
        enlarged = F.interpolate(low, size=noisy.shape[-2:], mode="bilinear", align_corners=False)
        # (1 - level) is what a picture of unit variance has in common with its noised form, about: at level 0 the
        # enlarged picture stands, of pure noise nothing does.
        return change + (1 - level).view(-1, 1, 1, 1) * enlarged

    def body(self, hidden: Tensor, told: Tensor, text: ReadText) -> Tensor:
        skips = []
        for down in cast("list[LevelDown]", list(self.down)):
            hidden = down.downsample(hidden)
            for layer in down.layers:
                hidden = layer(hidden, told, text)
                skips.append(hidden)
        for up in cast("list[LevelUp]", list(self.up)):
            for layer in up.layers:
                hidden = layer(torch.cat((hidden, skips.pop() * 2**-0.5), dim=1), told, text)
            hidden = up.upsample(hidden)
        return hidden


def to_grid(low: Tensor, side: int) -> Tensor:
    """The low-resolution picture on a grid of that side: its pixels repeated, or several in a cell."""
    if low.shape[-1] > side:
        return F.pixel_unshuffle(low, low.shape[-1] // side)
    return F.interpolate(low, size=(side, side), mode="nearest")
