"""Pixel decoding with the cache: beside recomputing the prefix, and beside what memory alone would take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from imagen_model import Imagen
from imagen_model.decoding import decode
from imagen_model.devices import single_thread_on_cpu
from imagen_model.sampling import SamplingParameters, uniforms
from imagen_model.text import tokenize

BATCH = 16
TEXT_LENGTH = 32
SAMPLED_PREFIXES = (1, 32, 64, 96, 128, 160, 192, 224, 256)


def measure_decoder(rounds: int) -> dict[str, Any]:
    """One core, batch 16: seconds of a step with the cache, of one that recomputes its prefix, of one stream.

    Recomputing is given its best case: only the prefix, and once a pixel for all three channels. Its mean over
    all 256 prefixes is estimated from nine of them by the trapezoidal rule.
    """
    model = Imagen.from_pretrained("imagen-small")
    positions = model.config.image_size**2
    ids, mask = tokenize(model.tokenizer, ["a red circle"] * BATCH, TEXT_LENGTH, TEXT_LENGTH)
    cached, recomputed, streams = [], [], []
    with torch.inference_mode(), single_thread_on_cpu(model.device):
        text = model.encode_text(ids, mask)
        uniform = uniforms(range(BATCH), positions * 3).view(BATCH, positions, 3)
        plain = SamplingParameters.of([1.0] * BATCH, [0] * BATCH, [1.0] * BATCH, model.device)
        values = decode(model.decoder, text, mask, uniform, plain)
        streamed = weights_bytes(model) + cache_bytes(model, positions)
        for _ in range(rounds):
            cached.append(seconds(lambda: decode(model.decoder, text, mask, uniform, plain)) / positions)
            times = [
                seconds(lambda length=length: model.decoder(values[:, :length], text, mask))  # type: ignore[misc]
                for length in SAMPLED_PREFIXES
            ]
            recomputed.append(trapezoid(SAMPLED_PREFIXES, times) / (SAMPLED_PREFIXES[-1] - SAMPLED_PREFIXES[0]))
            streams.append(streamed / read_bandwidth())
    return {
        "batch": BATCH,
        "cached_step_milliseconds": round(statistics.median(cached) * 1e3, 3),
        "recomputed_step_milliseconds": round(statistics.median(recomputed) * 1e3, 3),
        "speed_up": round(statistics.median(r / c for r, c in zip(recomputed, cached, strict=True)), 2),
        "stream_megabytes": round(streamed / 1e6, 1),
        "stream_milliseconds": round(statistics.median(streams) * 1e3, 3),
        "step_over_stream": round(statistics.median(c / s for c, s in zip(cached, streams, strict=True)), 2),
    }


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def trapezoid(places: tuple[int, ...], values: list[float]) -> float:
    pairs = zip(places, places[1:], values, values[1:], strict=False)
    return sum((right - left) * (low + high) / 2 for left, right, low, high in pairs)


def weights_bytes(model: Imagen) -> int:
    """Bytes of what one step multiplies with: the decoder without the text's projections."""
    named = model.decoder.named_parameters()
    return sum(p.numel() * p.element_size() for name, p in named if "text_kv" not in name)


def cache_bytes(model: Imagen, positions: int) -> int:
    """Bytes of keys and values that an average step reads."""
    config = model.config
    length = TEXT_LENGTH + positions // 2
    return 2 * config.num_layers * BATCH * length * config.hidden_size * 4


def read_bandwidth() -> float:
    """Bytes a second that one core reads from memory: the best of five sums over 256 MiB."""
    data = torch.ones(64 * 2**20)
    best = min(seconds(lambda: data.sum()) for _ in range(5))
    return data.numel() * 4 / best
