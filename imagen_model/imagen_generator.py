"""Imagen behind the one verb: any requests in, one result each out, the arithmetic of each its own.

A row's picture must not depend on its neighbours, and floating-point products of different shapes sum in
different orders. So the model only ever runs on tiles of one fixed number of rows; a short tile is filled up
with copies. `batch_size` says how many requests to hand over at a time and changes no picture.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image

from .catalog import rules_from_config
from .decoding import decode
from .generation import ErrorCode, Failure, GenerationRequest, InvalidRequest, Result, Success, Watcher
from .imagen import Imagen, single_thread_on_cpu
from .sampling import SamplingParameters, uniforms
from .text import PromptTooLong, tokenize

# Rows of the model that run together, measured in `imagegen bench`: on a CPU a larger tile gains little and
# makes a lone picture pay more; a GPU is idle below this.
CPU_TILE = 8
GPU_TILE = 64


# Most prompts are short; each is padded to this or to the model's limit, by its own length alone.
SHORT_TEXT = 32


@dataclass(frozen=True, slots=True)
class TileShape:
    """What decides the shapes of the arithmetic, a property of a request and never of its neighbours."""

    guided: bool
    text_length: int


def by_shape(ready: dict[int, GenerationRequest], lengths: dict[int, int]) -> dict[TileShape, list[int]]:
    groups: dict[TileShape, list[int]] = {}
    for index, request in ready.items():
        groups.setdefault(TileShape(request.guidance_scale != 1.0, lengths[index]), []).append(index)
    return groups


class ImagenGenerator:
    """One Imagen in memory, on one device."""

    def __init__(self, model: Imagen, batch_size: int | None = None) -> None:
        self.model = model
        self.rules = rules_from_config(model.config.to_dict())
        self.tile = CPU_TILE if model.device.type == "cpu" else GPU_TILE
        self.batch_size = batch_size or 2 * self.tile

    @classmethod
    def from_folder(cls, folder: str, batch_size: int | None = None, device: str = "auto") -> ImagenGenerator:
        """Load from a folder onto a device; "auto" takes a GPU if there is one."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(Imagen.from_pretrained(folder).to(device), batch_size)  # type: ignore[arg-type]

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Result]:
        return self.generate_watched(requests, {})

    def generate_watched(self, requests: Sequence[GenerationRequest], watchers: Mapping[int, Watcher]) -> list[Result]:
        """As `generate`; a watcher hears of its request's picture after each line that is drawn."""
        results: dict[int, Result] = {}
        ready: dict[int, GenerationRequest] = {}
        lengths: dict[int, int] = {}
        for index, request in enumerate(requests):
            try:
                ready[index] = self.rules.resolve(request)
                lengths[index] = self.group_key(ready[index]).text_length
            except InvalidRequest as refusal:
                results[index] = Failure(refusal.code, refusal.message)
                ready.pop(index, None)
        for shape, group in by_shape(ready, lengths).items():
            rows = self.group_size(shape)
            for start in range(0, len(group), rows):
                chosen = group[start : start + rows]
                told = {row: watchers[index] for row, index in enumerate(chosen) if index in watchers}
                pictures = self.draw_tile([ready[index] for index in chosen], shape, rows, told)
                results.update(zip(chosen, pictures, strict=True))
        return [results[index] for index in range(len(requests))]

    def group_key(self, request: GenerationRequest) -> TileShape:
        """The shape of the arithmetic; `request` is resolved.

        Raises:
            InvalidRequest: the prompt or the negative prompt has more tokens than the model takes.
        """
        # The negative prompt is read by the same encoder and held to the same limit.
        texts = [request.prompt, request.negative_prompt or ""]
        try:
            ids, _ = tokenize(self.model.tokenizer, texts, None, self.model.config.max_text_tokens)
        except PromptTooLong as refusal:
            raise InvalidRequest(ErrorCode.PROMPT_TOO_LONG, str(refusal)) from refusal
        return TileShape(request.guidance_scale != 1.0, self.text_length(ids.shape[1]))

    def group_size(self, key: Hashable) -> int:
        assert isinstance(key, TileShape)
        return max(1, self.tile // 2) if key.guided else self.tile

    def text_length(self, tokens: int) -> int:
        """What a text of so many tokens is padded to: a short one need not carry the longest one's padding."""
        longest = self.model.config.max_text_tokens
        return SHORT_TEXT if tokens <= SHORT_TEXT < longest else longest

    def draw_tile(
        self, requests: list[GenerationRequest], shape: TileShape, rows: int, watchers: Mapping[int, Watcher]
    ) -> list[Result]:
        """At most `rows` pictures in one run of the model; what is missing to `rows` is filled up and thrown away."""
        began = time.perf_counter()
        filled = requests + [requests[-1]] * (rows - len(requests))
        with single_thread_on_cpu(self.model.device):
            pictures = self.model.to_pictures(self.sample(filled, shape, watchers))[: len(requests)]
        seconds = (time.perf_counter() - began) / len(requests)
        return [
            Success(enlarge(picture, request), seconds) for picture, request in zip(pictures, requests, strict=True)
        ]

    @torch.inference_mode()
    def sample(
        self, requests: list[GenerationRequest], shape: TileShape, watchers: Mapping[int, Watcher]
    ) -> torch.Tensor:
        """(rows, positions, 3) levels."""
        model, device = self.model, self.model.device
        texts = [request.prompt for request in requests]
        if shape.guided:
            texts += [request.negative_prompt or "" for request in requests]
        ids, mask = tokenize(model.tokenizer, texts, shape.text_length, shape.text_length)
        text = model.encode_text(ids.to(device), mask.to(device))
        positions = model.config.image_size**2
        uniform = uniforms([request.seed for request in requests], positions * 3).view(-1, positions, 3)
        parameters = SamplingParameters.of(
            [float(request.temperature or 0.0) for request in requests],
            [int(request.top_k or 0) for request in requests],
            [float(request.top_p or 1.0) for request in requests],
            device,
        )
        scales = [float(request.guidance_scale or 0.0) for request in requests]
        guidance = torch.tensor(scales, device=device)[:, None] if shape.guided else None

        def tell(drawn: int, levels: torch.Tensor) -> None:
            for row, watcher in watchers.items():
                watcher(drawn / positions, partial(self.paint, levels[row : row + 1], drawn, requests[row]))

        after_line = tell if watchers else None
        return decode(model.decoder, text, mask.to(device), uniform.to(device), parameters, guidance, after_line)

    def paint(self, levels: torch.Tensor, drawn: int, request: GenerationRequest) -> Image.Image:
        """The picture so far; what is not drawn yet is grey."""
        (picture,) = self.model.to_pictures(levels)
        picture.reshape(-1, 3)[drawn:] = 128
        return enlarge(picture, request)


def enlarge(picture: np.ndarray, request: GenerationRequest) -> Image.Image:
    """The picture at the size asked for, pixels kept as they are: the drawn world is made of whole cells."""
    size = (request.width or picture.shape[1], request.height or picture.shape[0])
    return Image.fromarray(picture).resize(size, Image.Resampling.NEAREST)
