"""The masked Transformer decoder: pixel after pixel, each pixel's R, then G given R, then B given both.

    p(y | x) = prod_t  p(R_t | y_<t, x)  p(G_t | R_t, y_<t, x)  p(B_t | R_t, G_t, y_<t, x)

What is unusual: a position does not see the pixel before it as its input token, but a window of all
the pixels already drawn around it (a causal view of its neighbours, gathered instead of convolved), so that
local structure is built in. Attention runs over [text tokens | positions up to this one].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import ImagenConfig
from .layers import Block


class PixelHead(nn.Module):
    """Logits of one pixel's three values: u <- u + E_j[q_j] after each, then a small network."""

    def __init__(self, hidden_size: int, levels: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(hidden_size, eps=1e-6)
        self.inner = nn.ModuleList(nn.Linear(hidden_size, hidden_size) for _ in range(3))
        self.outer = nn.ModuleList(nn.Linear(hidden_size, levels) for _ in range(3))
        self.drawn = nn.ModuleList(nn.Embedding(levels, hidden_size) for _ in range(2))

    def logits(self, state: Tensor, channel: int) -> Tensor:
        """(..., hidden) -> (..., levels), always float32."""
        return self.outer[channel](F.silu(self.inner[channel](state))).float()

    def forward(self, hidden: Tensor, values: Tensor) -> Tensor:
        """All three at once where the values are known: (..., hidden), (..., 3) -> (..., 3, levels)."""
        state = self.norm(hidden)
        logits = [self.logits(state, 0)]
        for channel in (1, 2):
            state = state + self.drawn[channel - 1](values[..., channel - 1])
            logits.append(self.logits(state, channel))
        return torch.stack(logits, dim=-2)


class NeighbourView(nn.Module):
    """What is already drawn around a position: rows above within the radius, and to the left on its own row."""

    def __init__(self, config: ImagenConfig) -> None:
        super().__init__()
        self.side, self.radius, self.outside = config.image_size, config.neighbour_radius, config.levels
        # One more index than there are levels: a neighbour that lies outside the picture.
        self.embeddings = nn.ModuleList(nn.Embedding(config.levels + 1, config.pixel_embedding_size) for _ in range(3))
        places = len(self.offsets())
        # Two layers: one would only add up what each neighbour says by itself.
        self.project = nn.Sequential(
            nn.Linear(places * config.pixel_embedding_size, config.hidden_size),
            nn.SiLU(),
            nn.Linear(config.hidden_size, config.hidden_size),
        )

    def offsets(self) -> list[tuple[int, int]]:
        """(rows up, columns right) of each neighbour, all drawn before the position itself."""
        reach = range(-self.radius, self.radius + 1)
        above = [(up, right) for up in range(self.radius, 0, -1) for right in reach]
        return above + [(0, right) for right in range(-self.radius, 0)]

    def indices(self, device: torch.device) -> Tensor:
        """(positions, neighbours): where in the flattened picture each neighbour lies; `side**2` when outside."""
        rows, columns = torch.meshgrid(
            torch.arange(self.side, device=device), torch.arange(self.side, device=device), indexing="ij"
        )
        found = []
        for up, right in self.offsets():
            row, column = rows - up, columns + right
            inside = (row >= 0) & (column >= 0) & (column < self.side)
            found.append(torch.where(inside, row * self.side + column, self.side**2).flatten())
        return torch.stack(found, dim=-1)

    def embed(self, values: Tensor) -> Tensor:
        """(..., 3) levels -> (..., embedding): the sum over the channels."""
        red, green, blue = (table(values[..., channel]) for channel, table in enumerate(self.embeddings))
        return red + green + blue

    def outside_embedding(self, batch: int) -> Tensor:
        device = next(self.parameters()).device
        return self.embed(torch.full((batch, 1, 3), self.outside, device=device))

    def forward(self, values: Tensor) -> Tensor:
        """(batch, positions, 3) levels of a picture or of its beginning -> (batch, positions, hidden)."""
        rows, length, _ = values.shape
        missing = self.side**2 + 1 - length
        embedded = torch.cat((self.embed(values), self.outside_embedding(rows).expand(-1, missing, -1)), dim=1)
        return self.project(embedded[:, self.indices(values.device)[:length]].flatten(2))


@dataclass(slots=True)
class DecoderCache:
    """Everything that does not change when the next pixel is drawn; allocated once, of fixed size.

    Args:
        keys, values: a layer each, (rows, heads, text tokens + positions, head size).
        mask: (rows, 1, 1, text tokens + positions), true where a position may look.
        embedded: (rows, positions + 1, embedding) of the pixels drawn so far; the last is "outside".
        neighbours: (positions, neighbours) from `NeighbourView.indices`.
        tokens: number of text tokens before the first position.
    """

    keys: list[Tensor]
    values: list[Tensor]
    mask: Tensor
    embedded: Tensor
    neighbours: Tensor
    tokens: int


class PixelDecoder(nn.Module):
    def __init__(self, config: ImagenConfig) -> None:
        super().__init__()
        self.config = config
        self.view = NeighbourView(config)
        self.rows = nn.Embedding(config.image_size, config.hidden_size)
        self.columns = nn.Embedding(config.image_size, config.hidden_size)
        self.blocks = nn.ModuleList(
            Block(config.hidden_size, config.num_heads, config.feed_forward_size, sees_text=True)
            for _ in range(config.num_layers)
        )
        self.head = PixelHead(config.hidden_size, config.levels)

    @property
    def layers(self) -> list[Block]:
        return cast("list[Block]", list(self.blocks))

    def positions(self) -> Tensor:
        """(positions, hidden), row by row as they are drawn."""
        return (self.rows.weight[:, None] + self.columns.weight[None, :]).flatten(0, 1)

    def forward(self, values: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
        """Logits of every value given all before it.

        Args:
            values: (batch, positions, 3) levels, int64, of a picture or of its first positions.
            text: (batch, tokens, hidden) from the Transformer encoder; text_mask: (batch, tokens), bool.

        Returns:
            (batch, positions, 3, levels), float32.
        """
        length = values.shape[1]
        hidden = self.view(values) + self.positions()[:length]
        causal = torch.ones(length, length, dtype=torch.bool, device=hidden.device).tril()
        mask = torch.cat(
            (
                text_mask[:, None, None, :].expand(-1, 1, length, -1),
                causal[None, None].expand(text_mask.shape[0], 1, -1, -1),
            ),
            dim=-1,
        )
        for block in self.layers:
            hidden = block(hidden, mask, text)
        return self.head(hidden, values)

    def start(self, text: Tensor, text_mask: Tensor) -> DecoderCache:
        """The cache before the first pixel: the text's keys and values in place, the rest still empty."""
        rows, tokens = text_mask.shape
        positions = self.config.image_size**2
        head_size = self.config.hidden_size // self.config.num_heads
        keys, values = [], []
        for block in self.layers:
            shape = (rows, self.config.num_heads, tokens + positions, head_size)
            key, value = text.new_zeros(shape), text.new_zeros(shape)
            key[:, :, :tokens], value[:, :, :tokens] = block.attention.project_text(text)
            keys.append(key)
            values.append(value)
        mask = torch.cat((text_mask, text_mask.new_ones(rows, positions)), dim=1)[:, None, None, :]
        outside = self.view.outside_embedding(rows)
        embedded = torch.cat((outside.expand(-1, positions, -1), outside), dim=1).contiguous()
        return DecoderCache(keys, values, mask, embedded, self.view.indices(text.device), tokens)

    def step(self, position: int, cache: DecoderCache, place: Tensor) -> Tensor:
        """The state from which the head draws the pixel at `position`: (rows, hidden).

        Args:
            place: (hidden), the position's row of `positions()`.
        """
        around = cache.embedded[:, cache.neighbours[position]].flatten(1)
        hidden = (self.view.project(around) + place)[:, None]
        at, end = cache.tokens + position, cache.tokens + position + 1
        mask = cache.mask[..., :end]
        for block, keys, values in zip(self.layers, cache.keys, cache.values, strict=True):
            attention = block.attention
            query, key, value = attention.project(hidden)
            keys[:, :, at : at + 1], values[:, :, at : at + 1] = key, value
            mixed = F.scaled_dot_product_attention(query, keys[:, :, :end], values[:, :, :end], attn_mask=mask)
            hidden = hidden + attention.out(mixed.transpose(1, 2).flatten(2))
            hidden = hidden + block.feed_forward(hidden)
        return hidden[:, 0]
