"""Captions of illustrations in English and Chinese, and the words that a tokenizer needs for both."""

from __future__ import annotations

import random

from ..drawn_world.captions import tokens
from . import captions, chinese
from .scene import Scene
from .worlds import random_scene

CHINESE_SHARE = 0.3
SAMPLES = 20_000


def caption(scene: Scene, rng: random.Random) -> str:
    """A true caption, in English more often."""
    return (chinese if rng.random() < CHINESE_SHARE else captions).caption(scene, rng)


def vocabulary() -> list[str]:
    """Every English word and every Chinese character that captions hold, sorted; the same ones each time."""
    rng = random.Random(0)
    words = set(captions.vocabulary())
    for _ in range(SAMPLES):
        words.update(tokens(chinese.caption(random_scene(rng), rng)))
    return sorted(words)
