"""The drawn worlds: what a model is trained on, and the exam that goes with it. Every world is drawn by code, so that
caption, picture and checker share one truth."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from .exam import Question


class UnknownWorld(ValueError):
    """There is no world of that name."""


@dataclass(frozen=True, slots=True)
class World:
    """Args:
    scene: a random scene of the training set, never one that is held out.
    caption: a true sentence about a scene.
    picture: (side, side, 3) uint8 of a scene, for sides that are multiples of 16; the same scene at any side.
    tokenizer: for captions, of at most so many tokens.
    categories: of the exam; `held_out_categories` are those that have held-out questions.
    questions: of a category: how many, seed, held out or seen.
    side: at which pictures are examined, in pixels; None for a model's own default.
    kinds: a random scene of the training set of each kind that has a name, by that name.
    sentence: the one that says what a scene is; None where the world has none. `sentence_words`: all words of them.
    """

    name: str
    scene: Callable[[random.Random], Any]
    caption: Callable[[Any, random.Random], str]
    picture: Callable[[Any, int], np.ndarray]
    tokenizer: Callable[[int], Any]
    categories: tuple[str, ...]
    held_out_categories: tuple[str, ...]
    questions: Callable[[str, int, int, bool], list[Question]]
    side: int | None
    kinds: Mapping[str, Callable[[random.Random], Any]] = field(default_factory=dict)
    sentence: Callable[[Any], str] | None = None
    sentence_words: Callable[[], list[str]] | None = None

    def draw_answers(self, asked: Sequence[Question], side: int) -> list[Image.Image]:
        """The upper end of the scale: the drawings themselves."""
        return [Image.fromarray(self.picture(one.scene, side)) for one in asked]


def find_world(name: str) -> World:
    """Raises:
    UnknownWorld: the message names those that there are.
    """
    if name not in WORLDS:
        raise UnknownWorld(f"no world is called {name!r}; there are: {', '.join(WORLDS)}")
    return WORLDS[name]()


def illustrations() -> World:
    """Six shapes in eight colours, and four landscapes, on a grid of 16x16 cells."""
    from .illustrations import alt_text, captions, drawing, exam, worlds
    from .tokenizers import word_tokenizer

    def picture(scene: Any, side: int) -> np.ndarray:
        """Whole cells at 16x16, edges smoothed by averaging above."""
        if side == drawing.GRID:
            return drawing.draw(scene, side)
        finer = max(2, 16 * drawing.GRID // side)
        return np.asarray(Image.fromarray(drawing.draw(scene, side * finer)).reduce(finer))

    return World(
        "illustrations",
        worlds.random_scene,
        captions.caption,
        picture,
        lambda limit: word_tokenizer(captions.vocabulary(), limit),
        exam.CATEGORIES,
        tuple(category for category in exam.CATEGORIES if category != "landscape"),  # no colour and shape to hold out
        exam.questions,
        # The checker reads whole cells; a finer picture's edges run through them.
        drawing.GRID,
        worlds.KINDS,
        alt_text.alt_text,
        alt_text.vocabulary,
    )


def bilingual_illustrations() -> World:
    """The illustrations in larger shares of two and of several objects, captioned in English and Chinese."""
    from .drawn_world.tokenizer import bilingual_tokenizer
    from .illustrations import bilingual, worlds

    return replace(
        illustrations(),
        name="bilingual_illustrations",
        scene=lambda rng: worlds.random_scene(rng, worlds.COMPOSED_MIX),
        caption=bilingual.caption,
        tokenizer=lambda limit: bilingual_tokenizer(bilingual.vocabulary(), limit),
    )


def drawn_world() -> World:
    """Forty-eight kinds of things in eleven colours and three styles, and eight places by time and weather, captioned
    in English and Chinese."""
    from .drawn_world import captions, drawing, exam, worlds
    from .drawn_world.tokenizer import bilingual_tokenizer

    return World(
        "drawn_world",
        worlds.random_scene,
        captions.caption,
        drawing.draw,
        lambda limit: bilingual_tokenizer(captions.vocabulary(), limit),
        exam.CATEGORIES,
        exam.CATEGORIES,
        exam.questions,
        None,
    )


WORLDS = {
    "illustrations": illustrations,
    "bilingual_illustrations": bilingual_illustrations,
    "drawn_world": drawn_world,
}
