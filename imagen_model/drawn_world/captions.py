"""Captions in two languages, and the words that a tokenizer needs for them."""

from __future__ import annotations

import random
import re

from . import chinese, english
from .scene import Scene

LANGUAGES = ("english", "chinese")
# A word of Latin letters or digits, a single Chinese character, or a mark of punctuation.
TOKEN = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")
CHINESE_SHARE = 0.4
SAMPLES = 60_000


def caption(scene: Scene, rng: random.Random, language: str | None = None) -> str:
    """A true caption in the language, or in either (English a little more often)."""
    if language is None:
        language = "chinese" if rng.random() < CHINESE_SHARE else "english"
    if language not in LANGUAGES:
        raise ValueError(f"no captions in {language!r}; there are {LANGUAGES}")
    return (chinese if language == "chinese" else english).caption(scene, rng)


def tokens(text: str) -> list[str]:
    """Lower-case words and single Chinese characters and marks, as `tokenizer.bilingual_tokenizer` splits."""
    return TOKEN.findall(text.lower().replace("，", ",").replace("：", ":"))


def vocabulary() -> list[str]:
    """Every word and character that captions hold, sorted; gathered from many, the same ones each time."""
    from .worlds import random_scene

    rng = random.Random(0)
    words: set[str] = set()
    for _ in range(SAMPLES):
        scene = random_scene(rng)
        for language in LANGUAGES:
            words.update(tokens(caption(scene, rng, language)))
    return sorted(words)
