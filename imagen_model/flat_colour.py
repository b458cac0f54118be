"""A generator that paints one flat colour for each seed.

It stands where a model stands, costs next to nothing and needs no torch: pipelines, stores and encoders
are tested and timed with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from PIL import Image

from .generation import Failure, GenerationRequest, InvalidRequest, RequestRules, Result, Success
from .post_processing import post_process

# Twice its largest picture is as much as its single colours are worth.
RULES = RequestRules(
    sizes=((64, 64), (16, 16), (128, 128), (256, 256), (512, 512)),
    defaults={"guidance_scale": 1.0},
    limits={"upscale": 1024},
)


class FlatColourGenerator:
    """Every picture is one colour, a function of (prompt, seed) alone."""

    rules = RULES

    def __init__(self, batch_size: int = 16) -> None:
        self.batch_size = batch_size

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Result]:
        return [self.paint(request) for request in requests]

    def paint(self, request: GenerationRequest) -> Result:
        try:
            resolved = self.rules.resolve(request)
        except InvalidRequest as refusal:
            return Failure(refusal.code, refusal.message)
        digest = hashlib.sha256(f"{resolved.seed}:{resolved.prompt}".encode()).digest()
        size = (resolved.width or 0, resolved.height or 0)
        image = Image.new("RGB", size, (digest[0], digest[1], digest[2]))
        return Success(post_process(image, resolved.post_processing), 0.0)
