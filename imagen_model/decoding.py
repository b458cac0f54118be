"""The pixel loop: the text's states in, whole pictures out, with the static cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .pixel_decoder import PixelDecoder, PixelHead
from .sampling import SamplingParameters, draw


@dataclass(frozen=True, slots=True)
class Allowed:
    """The colours that a pixel may have, of which there is at least one.

    Args:
        red, green: (pairs,) levels with which some B is allowed.
        blue: (pairs, levels) bool: which.
    """

    red: Tensor
    green: Tensor
    blue: Tensor


@torch.inference_mode()
def decode(
    decoder: PixelDecoder,
    text: Tensor,
    text_mask: Tensor,
    uniform: Tensor,
    parameters: SamplingParameters,
    guidance: Tensor | None = None,
    after_line: Callable[[int, Tensor], None] | None = None,
    allowed: Callable[[int], Allowed] | None = None,
) -> Tensor:
    """Draw every pixel in turn.

    Args:
        text: (rows, tokens, hidden); with guidance (2 * rows, ...): the prompts, then what to steer away from.
        text_mask: (rows or 2 * rows, tokens), bool.
        uniform: (rows, positions, 3) in [0, 1), each row from its own seed.
        guidance: (rows, 1) scales w of logits = away + w (toward - away); None for none.
        after_line: told after each line of the pictures how many positions are drawn, and the levels so far (those
            that are not drawn yet are 0); it must not change them.
        allowed: from a position, the colours that its pixel may have; None for all.

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
        if allowed is not None:
            pixel[:] = draw_allowed(head, state, uniform[:, position], parameters, guidance, allowed(position))
        for channel in range(channels if allowed is None else 0):
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


def draw_allowed(
    head: PixelHead,
    state: Tensor,
    uniform: Tensor,
    parameters: SamplingParameters,
    guidance: Tensor | None,
    allowed: Allowed,
) -> Tensor:
    """One pixel of an allowed colour: (rows, 3) levels.

    R is weighed by how likely the model finds it that an allowed colour follows, and G likewise. Masks alone would let
    R be drawn as if the constraint said nothing about the pixel, and leave G and B to make up for it.

    Args:
        state: (rows or 2 * rows, hidden), normed, before any value of the pixel.
        uniform: (rows, 3).
    """

    def chances(states: Tensor, channel: int) -> Tensor:
        logits = head.logits(states, channel)
        if guidance is not None:
            toward, away = logits.chunk(2)
            logits = away + guidance.view(-1, *[1] * (logits.dim() - 1)) * (toward - away)
        return logits.log_softmax(dim=-1)

    def pick(weights: Tensor, channel: int) -> Tensor:
        value = draw(weights, uniform[:, channel : channel + 1], parameters)
        # A sum of probabilities that rounding leaves short would end in a level that is not allowed.
        held = weights.gather(1, value[:, None])[:, 0] > -torch.inf
        return torch.where(held, value, weights.argmax(dim=-1))

    red, green, blue = allowed.red, allowed.green, allowed.blue
    every = torch.arange(allowed.blue.shape[-1], device=state.device)  # level
    after_red = state[:, None] + head.drawn[0](every)  # (rows, levels of R, hidden)
    after_both = after_red[:, red] + head.drawn[1](green)  # (rows, pairs, hidden)
    of_blue = chances(after_both, 2).masked_fill(~blue, -torch.inf)
    rows, levels = of_blue.shape[0], of_blue.shape[-1]
    reached = of_blue.new_full((rows, levels, levels), -torch.inf)
    reached[:, red, green] = of_blue.logsumexp(dim=-1)
    of_green = chances(after_red, 1) + reached
    of_red = chances(state, 0) + of_green.logsumexp(dim=-1)
    row = torch.arange(rows, device=state.device)
    drawn_red = pick(of_red, 0)
    drawn_green = pick(of_green[row, drawn_red], 1)
    pair = (red * levels + green == (drawn_red * levels + drawn_green)[:, None]).int().argmax(dim=-1)
    return torch.stack((drawn_red, drawn_green, pick(of_blue[row, pair], 2)), dim=-1)


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
