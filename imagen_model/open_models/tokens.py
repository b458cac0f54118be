"""How long a prompt is for a pipeline's text encoders, and whether any of them reads it whole.

Refused is what no encoder reads to its end: CLIP's 77 tokens are the limit of Stable Diffusion 1 and 2 and XL, but not
of Stable Diffusion 3 or FLUX, whose T5 reads on.
"""

from __future__ import annotations

import copy
import threading
from functools import lru_cache
from typing import Any

from ..generation import ErrorCode, InvalidRequest
from ..text import KNOWN_TEXTS

TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3", "tokenizer_4")
WITHOUT_LIMIT = 10**6  # what tokenizers say that state none is larger


class TokenCounter:
    """Args:
    pipeline: a loaded diffusers pipeline.
    limit: tokens that encoders other than CLIP's are given; None for what their tokenizers say.
    """

    def __init__(self, pipeline: Any, limit: int | None) -> None:
        found = [getattr(pipeline, name, None) for name in TOKENIZERS]
        # Copies: a fast tokenizer keeps padding and truncation as its state, and a server counts the tokens of what
        # comes in while the pipeline, in the model's thread, reads prompts with other settings.
        self.tokenizers = [copy.deepcopy(tokenizer) for tokenizer in found if tokenizer is not None]
        self.lock = threading.Lock()
        self.limits = [limit_of(tokenizer, limit) for tokenizer in self.tokenizers]
        # Asked for all rows of a shard, or as a request comes in, and again when their batch is made.
        self.counts = lru_cache(KNOWN_TEXTS)(self.count)

    def count(self, text: str) -> tuple[int, ...]:
        """Tokens of the text for each tokenizer, special ones included."""
        with self.lock:
            return tuple(len(tokenizer(text, truncation=False)["input_ids"]) for tokenizer in self.tokenizers)

    def check(self, name: str, text: str) -> tuple[int, ...]:
        """The counts.

        Raises:
            InvalidRequest: no text encoder reads the text whole.
        """
        counts = self.counts(text)
        if counts and all(count > limit for count, limit in zip(counts, self.limits, strict=True)):
            limit = max(self.limits)
            tokens = counts[self.limits.index(limit)]
            raise InvalidRequest(
                ErrorCode.PROMPT_TOO_LONG,
                f"{name} has {tokens} tokens, this model reads at most {limit}; shorten it, or give --long-prompts "
                "truncate to have the rest ignored",
            )
        return counts


def limit_of(tokenizer: Any, limit: int | None) -> int:
    own = int(min(getattr(tokenizer, "model_max_length", WITHOUT_LIMIT), WITHOUT_LIMIT))
    if limit is None or type(tokenizer).__name__.startswith("CLIP"):
        return own
    return min(own, limit)
