"""Imagen behind the one verb: any requests in, one result each out, the arithmetic of each its own.

A row's picture must not depend on its neighbours, and floating-point products of different shapes sum in
different orders. So the model only ever runs on tiles of one fixed number of rows; a short tile is filled up
with copies. `batch_size` says how many requests to hand over at a time and changes no picture.

A picture is read (text states, once), drawn by the base, carried on by as many super-resolution stages as its size
needs, and finished by its post-processing. Of `best_of` candidates only the one that is kept goes beyond the base.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import torch
from PIL import Image
from torch import Tensor

from .best_of import candidate_seed, find_judge, log_likelihoods
from .catalog import rules_from_config
from .colorize import masks_of, with_given_luma
from .decoding import decode
from .devices import choose_device, single_thread_on_cpu
from .generation import ErrorCode, GenerationRequest, InvalidRequest, Result, Success, Watcher
from .grouped import generate_grouped
from .imagen import Imagen
from .luma import LumaMasks
from .post_processing import post_process
from .progress import Progress, at_size
from .sampling import SamplingParameters, uniforms
from .stages import Conditions, run_stage
from .text import KNOWN_TEXTS, PromptTooLong, count_tokens, tokenize

# Rows of the base that run together, measured in `imagegen bench`: on a CPU a larger tile gains little and
# makes a lone picture pay more; a GPU is idle below this.
CPU_TILE = 8
GPU_TILE = 64


# Most prompts are short; each is padded to this or to the model's limit, by its own length alone.
SHORT_TEXT = 32


@dataclass(frozen=True, slots=True)
class TileShape:
    """What decides the arithmetic that rows share, a property of a request and never of its neighbours.

    Args:
        guided: whether the base runs on the prompts and on what to steer away from.
        stages: super-resolution stages that the size needs.
        steps: of the diffusion stages that take the request's number; 0 where none does.
        candidates: that the base draws for each picture.
        grey: whether the base draws under a grey picture's luma, which each row has of its own.
    """

    guided: bool
    text_length: int
    stages: int = 0
    steps: int = 0
    candidates: int = 1
    grey: bool = False


class ImagenGenerator:
    """One Imagen in memory, on one device."""

    def __init__(self, model: Imagen, batch_size: int | None = None) -> None:
        self.model = model
        self.rules = rules_from_config(model.config.to_dict())
        self.stages = model.config.stages
        self.judge = find_judge(model)
        self.tile = CPU_TILE if model.device.type == "cpu" else GPU_TILE
        self.batch_size = batch_size or 2 * self.tile
        counted = partial(count_tokens, model.tokenizer, model.config.max_text_tokens)
        self.tokens = lru_cache(KNOWN_TEXTS)(counted)  # asked for a shard's rows, and again for each batch of them

    @classmethod
    def from_folder(cls, folder: str, batch_size: int | None = None, device: str = "auto") -> ImagenGenerator:
        """Load from a folder onto a device; "auto" takes a GPU if there is one."""
        return cls(Imagen.from_pretrained(folder).to(choose_device(device)), batch_size)  # type: ignore[arg-type]

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Result]:
        return self.generate_watched(requests, {})

    def generate_watched(self, requests: Sequence[GenerationRequest], watchers: Mapping[int, Watcher]) -> list[Result]:
        """As `generate`; a watcher hears of its request's picture after each line or step that is drawn."""

        def draw(chosen: list[int], ready: list[GenerationRequest], shape: TileShape) -> list[Result]:
            told = {row: watchers[index] for row, index in enumerate(chosen) if index in watchers}
            return self.draw_tile(ready, shape, told)

        return generate_grouped(self, self.rules, requests, draw)

    def group_key(self, request: GenerationRequest) -> TileShape:
        """The shape of the arithmetic; `request` is resolved.

        Raises:
            InvalidRequest: the prompt or the negative prompt has more tokens than the model takes.
        """
        # The negative prompt is read by the same encoder and held to the same limit.
        try:
            tokens = max(map(self.tokens, (request.prompt, request.negative_prompt or "")))
        except PromptTooLong as refusal:
            raise InvalidRequest(ErrorCode.PROMPT_TOO_LONG, str(refusal)) from refusal
        stages = self.stages_for(request.width or 0)
        running = [self.model.config.base_stage, *self.stages[:stages]]
        stepping = any(stage is not None and stage.inference_steps is None for stage in running)
        steps = request.num_inference_steps or 0
        length = self.text_length(tokens)
        guided, steps = request.guidance_scale != 1.0, steps if stepping else 0
        return TileShape(guided, length, stages, steps, request.best_of or 1, request.grey is not None)

    def stages_for(self, side: int) -> int:
        """How many stages make a picture at least that large, or all."""
        sides = [self.model.config.image_size, *(stage.image_size for stage in self.stages)]
        return next((number for number, reached in enumerate(sides) if reached >= side), len(self.stages))

    def group_size(self, key: Hashable) -> int:
        assert isinstance(key, TileShape)
        return 1 if key.grey else max(1, self.base_rows(key) // key.candidates)

    def base_rows(self, shape: TileShape) -> int:
        """Rows of one run of the base."""
        if shape.grey and shape.candidates == 1:
            return 1
        return max(1, self.tile // 2) if shape.guided else self.tile

    def text_length(self, tokens: int) -> int:
        """What a text of so many tokens is padded to: a short one need not carry the longest one's padding."""
        longest = self.model.config.max_text_tokens
        return SHORT_TEXT if tokens <= SHORT_TEXT < longest else longest

    def draw_tile(
        self, requests: list[GenerationRequest], shape: TileShape, watchers: Mapping[int, Watcher]
    ) -> list[Result]:
        """As many pictures as `group_size` says, or fewer."""
        began = time.perf_counter()
        with single_thread_on_cpu(self.model.device):
            pictures = self.sample(requests, shape, watchers)
        images = [self.finish(picture, one, shape) for picture, one in zip(pictures, requests, strict=True)]
        seconds = (time.perf_counter() - began) / len(requests)
        return [Success(image, seconds) for image in images]

    def finish(self, picture: Tensor, request: GenerationRequest, shape: TileShape) -> Image.Image:
        image = at_size(picture.numpy(), request, smooth=shape.stages > 0)
        if request.grey is not None:
            image = with_given_luma(image, request.grey, self.model.config.image_size)
        return post_process(image, request.post_processing)

    @torch.inference_mode()
    def sample(self, requests: list[GenerationRequest], shape: TileShape, watchers: Mapping[int, Watcher]) -> Tensor:
        """(requests, side, side, 3) uint8, as the last stage that the size needs makes them."""
        rows = self.base_rows(shape)
        grey = requests[0].grey  # of the only one
        masks = None if grey is None else masks_of(self.model, grey)
        # What is missing to the rows of the base is filled up and thrown away.
        filled = requests + [requests[-1]] * (rows - len(requests))
        conditions = self.read(filled, shape)
        base = self.model.config.base_stage
        nets = [(net, f"super_resolution[{index}]") for index, net in enumerate(self.model.stages[: shape.stages])]
        lines = 0
        low: Tensor | None = None
        if shape.candidates == 1 and base is None:
            lines = self.model.config.image_size
        elif shape.candidates == 1:
            nets.insert(0, (self.model.denoiser, "base"))
        steps = [net.config.inference_steps or shape.steps for net, _ in nets]
        # Nobody knows which candidate's lines or steps to show.
        progress = Progress(lines + sum(steps), requests, watchers)
        if shape.candidates > 1:
            low, seeds = self.choose(requests, shape, conditions, masks)
            conditions = replace(conditions, seeds=seeds)
        elif base is None:
            low = self.to_pictures(self.draw_pixels(filled, shape, conditions, progress, masks))[: len(requests)]
        conditions = conditions.rows(list(range(len(requests))))
        for (net, stream), count in zip(nets, steps, strict=True):
            scale = net.config.guidance_scale
            scales = [scale if low is not None else float(request.guidance_scale or 0.0) for request in requests]
            told = progress.of_stage(count, smooth=low is not None)
            low = run_stage(net, stream, conditions, count, scales, low, told)
        assert low is not None
        return low

    def read(self, requests: list[GenerationRequest], shape: TileShape) -> Conditions:
        """The text states of all rows, once for all stages."""
        texts = [request.prompt for request in requests]
        if shape.guided or any(stage.guidance_scale != 1.0 for stage in self.stages[: shape.stages]):
            texts += [request.negative_prompt or "" for request in requests]
        ids, mask = tokenize(self.model.tokenizer, texts, shape.text_length, shape.text_length)
        mask = mask.to(self.model.device)
        states, rows = self.model.text_states(ids.to(self.model.device), mask), len(requests)
        two = len(texts) > rows
        return Conditions(
            states[:rows],
            mask[:rows],
            states[rows:] if two else None,
            mask[rows:] if two else None,
            [request.seed for request in requests],
        )

    def to_pictures(self, levels: Tensor) -> Tensor:
        return torch.from_numpy(self.model.to_pictures(levels))

    def choose(
        self, requests: list[GenerationRequest], shape: TileShape, conditions: Conditions, masks: LumaMasks | None
    ) -> tuple[Tensor, list[int]]:
        """The base's best candidate of each request: (requests, side, side, 3) uint8, and the seeds that drew them."""
        rows, count = self.base_rows(shape), shape.candidates
        owners = [owner for owner in range(len(requests)) for _ in range(count)]
        seeds = [candidate_seed(request.seed, number) for request in requests for number in range(count)]
        drawn, scores = [], []
        for start in range(0, len(owners), rows):
            chosen = [min(at, len(owners) - 1) for at in range(start, start + rows)]
            tile = replace(conditions.rows([owners[at] for at in chosen]), seeds=[seeds[at] for at in chosen])
            pictures, likely = self.candidates([requests[owners[at]] for at in chosen], shape, tile, masks)
            drawn.append(pictures)
            scores.append(likely)
        best = torch.cat(scores)[: len(owners)].view(-1, count).argmax(dim=1)
        kept = [owner * count + int(number) for owner, number in enumerate(best)]
        return torch.cat(drawn)[kept], [seeds[at] for at in kept]

    def candidates(
        self, requests: list[GenerationRequest], shape: TileShape, conditions: Conditions, masks: LumaMasks | None
    ) -> tuple[Tensor, Tensor]:
        """The base's pictures, and how good each is: by the model's judge, or by their likelihood where it has none."""
        base = self.model.config.base_stage
        if base is None:
            levels = self.draw_pixels(requests, shape, conditions, Progress(0, requests, {}), masks)
            pictures = self.to_pictures(levels)
        else:
            scales = [float(request.guidance_scale or 0.0) for request in requests]
            steps = base.inference_steps or shape.steps
            pictures = run_stage(self.model.denoiser, "base", conditions, steps, scales)
        states, mask = conditions.states, conditions.mask
        share = 1.0 if self.judge is None else self.judge.likelihood_share
        scores = torch.zeros(len(requests), dtype=torch.float64)
        if self.judge is not None:
            scores += self.judge.scores(pictures, [request.prompt for request in requests], states, mask)
        if base is None and share:
            scores += share * log_likelihoods(self.model, levels, states, mask)
        return pictures, scores

    def draw_pixels(
        self,
        requests: list[GenerationRequest],
        shape: TileShape,
        conditions: Conditions,
        progress: Progress,
        masks: LumaMasks | None = None,
    ) -> Tensor:
        """The pixel decoder's levels, (rows, positions, 3)."""
        model, device = self.model, self.model.device
        states, mask = conditions.states, conditions.mask
        if shape.guided:
            assert conditions.away is not None and conditions.away_mask is not None
            states, mask = torch.cat((states, conditions.away)), torch.cat((mask, conditions.away_mask))
        text = model.text_transformer(states, mask)
        positions = model.config.image_size**2
        uniform = uniforms(conditions.seeds, positions * 3).view(-1, positions, 3)
        parameters = SamplingParameters.of(
            [float(request.temperature or 0.0) for request in requests],
            [int(request.top_k or 0) for request in requests],
            [float(request.top_p or 1.0) for request in requests],
            device,
        )
        scales = [float(request.guidance_scale or 0.0) for request in requests]
        guidance = torch.tensor(scales, device=device)[:, None] if shape.guided else None
        after_line = partial(progress.line, self.model) if progress.watchers else None
        return decode(model.decoder, text, mask, uniform.to(device), parameters, guidance, after_line, masks)
