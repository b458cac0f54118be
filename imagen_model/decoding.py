"""The pixel loop: the text's states in, whole pictures out, with the static cache."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .pixel_decoder import PixelDecoder
from .sampling import SamplingParameters, draw


@torch.inference_mode()
def decode(
    decoder: PixelDecoder,
    text: Tensor,
    text_mask: Tensor,
    uniform: Tensor,
    parameters: SamplingParameters,
    guidance: Tensor | None = None,
    after_line: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Draw every pixel in turn.

    Args:
        text: (rows, tokens, hidden); with guidance (2 * rows, ...): the prompts, then what to steer away from.
        text_mask: (rows or 2 * rows, tokens), bool.
        uniform: (rows, positions, 3) in [0, 1), each row from its own seed.
        guidance: (rows, 1) scales w of logits = away + w (toward - away); None for none.
        after_line: told after each line of the pictures how many positions are drawn, and the levels so far (those
            that are not drawn yet are 0); it must not change them.

    Returns:
        (rows, positions, 3) levels, int64.
    """
    rows, positions, channels = uniform.shape
    side = decoder.config.image_size
    cache = decoder.start(text, text_mask)
    places = decoder.positions()
    drawn = torch.zeros(rows, positions, channels, dtype=torch.long, device=text.device)
    head, view = decoder.head, decoder.view
    for position in range(positions):
        state = head.norm(decoder.step(position, cache, places[position]))
        pixel = drawn[:, position]
        for channel in range(channels):
            logits = head.logits(state, channel)
            if guidance is not None:
                toward, away = logits.chunk(2)
                logits = away + guidance * (toward - away)
            value = draw(logits, uniform[:, position, channel : channel + 1], parameters)
            pixel[:, channel] = value
            if channel + 1 < channels:
                twice = value if guidance is None else value.repeat(2)
                state = state + head.drawn[channel](twice)
        embedded = view.embed(pixel)
        cache.embedded[:, position] = embedded if guidance is None else embedded.repeat(2, 1)
        if after_line is not None and (position + 1) % side == 0:
            after_line(position + 1, drawn)
    return drawn


@torch.inference_mode()
def decode_without_cache(
    decoder: PixelDecoder, text: Tensor, text_mask: Tensor, uniform: Tensor, parameters: SamplingParameters
) -> Tensor:
    """The same pictures by recomputing the whole prefix for every pixel: the reference that the cache is held to."""
    rows, positions, channels = uniform.shape
    drawn = torch.zeros(rows, positions, channels, dtype=torch.long, device=text.device)
    for position in range(positions):
        for channel in range(channels):
            logits = decoder(drawn[:, : position + 1], text, text_mask)[:, position, channel]
            drawn[:, position, channel] = draw(logits, uniform[:, position, channel : channel + 1], parameters)
    return drawn
