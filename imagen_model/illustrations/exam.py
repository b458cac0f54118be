"""Questions in GenEval's categories whose answers the checker can read back from a picture."""

from __future__ import annotations

import random

from PIL import Image

from ..exam import Question, Verdict
from . import worlds
from .captions import NUMBERS, plural, with_article
from .checker import SeenObject, read_landscape, read_objects
from .scene import PLACES, RELATIONS, TIMES

CATEGORIES = (
    "single object",
    "two objects",
    "colours",
    "counting",
    "position",
    "attribute binding",
    "landscape",
)


def question(category: str, rng: random.Random, held_out: bool) -> Question:
    """A random question.

    Args:
        category: one of `CATEGORIES`.
        held_out: whether its objects have looks (colour and shape) that no training picture held.

    Raises:
        ValueError: there is no such category.
    """
    if category not in CATEGORIES:
        raise ValueError(f"no category is called {category!r}; there are {', '.join(CATEGORIES)}")
    first, second = worlds.two_looks(rng, worlds.HELD_OUT_PAIRS if held_out else worlds.SEEN_PAIRS)
    match category:
        case "single object":
            scene = worlds.single(rng, first)
            return Question(
                f"a photo of {with_article(first[1])}", scene, lambda image: one_object(image, first, False)
            )
        case "colours":
            scene = worlds.single(rng, first)
            prompt = f"a photo of {with_article(' '.join(first))}"
            return Question(prompt, scene, lambda image: one_object(image, first, True))
        case "counting":
            count = rng.choice((2, 3, 4))
            scene = worlds.counted(rng, first, count)
            prompt = f"a photo of {NUMBERS[count]} {first[0]} {plural(first[1])}"
            return Question(prompt, scene, lambda image: so_many(image, first, count))
        case "landscape":
            return landscape_question(rng)
    relation = rng.choice(RELATIONS)
    scene = worlds.pair(rng, first, second, relation)
    if category == "two objects":
        prompt = f"a photo of {with_article(first[1])} and {with_article(second[1])}"
        return Question(prompt, scene, lambda image: two_objects(image, first, second, None, False))
    if category == "position":
        prompt = f"a photo of {with_article(first[1])} {relation} {with_article(second[1])}"
        return Question(prompt, scene, lambda image: two_objects(image, first, second, relation, False))
    prompt = f"a photo of {with_article(' '.join(first))} and {with_article(' '.join(second))}"
    return Question(prompt, scene, lambda image: two_objects(image, first, second, None, True))


def one_object(image: Image.Image, look: tuple[str, str], coloured: bool) -> Verdict:
    seen = read_objects(image)
    alone = len(seen) == 1
    colour = alone and seen[0].colour == look[0]
    shape = alone and seen[0].shape == look[1]
    return {"right": shape and (colour or not coloured), "shape": shape, "colour": colour, "alone": alone}


def so_many(image: Image.Image, look: tuple[str, str], count: int) -> Verdict:
    seen = read_objects(image)
    number = len(seen) == count
    fitting = [thing for thing in seen if (thing.colour, thing.shape) == look]
    return {"right": number and len(fitting) == count, "number": number}


def two_objects(
    image: Image.Image, first: tuple[str, str], second: tuple[str, str], relation: str | None, coloured: bool
) -> Verdict:
    seen = read_objects(image)
    matches = [
        (one, other)
        for one in seen
        for other in seen
        if one is not other and fits(one, first, coloured) and fits(other, second, coloured)
    ]
    both = len(seen) == 2 and bool(matches)
    placed = relation is None or any(stands(one, other, relation) for one, other in matches)
    return {"right": both and placed, "objects": both}


def fits(seen: SeenObject, look: tuple[str, str], coloured: bool) -> bool:
    return seen.shape == look[1] and (not coloured or seen.colour == look[0])


def stands(one: SeenObject, other: SeenObject, relation: str) -> bool:
    across, down = one.centre_x - other.centre_x, one.centre_y - other.centre_y
    match relation:
        case "left of":
            return across < 0 and -across >= abs(down)
        case "right of":
            return across > 0 and across >= abs(down)
        case "above":
            return down < 0 and -down >= abs(across)
    return down > 0 and down >= abs(across)


def landscape_question(rng: random.Random) -> Question:
    place, time = rng.choice(PLACES), rng.choice(TIMES)
    palms = place == "beach" and rng.random() < 0.5
    scene = worlds.landscape(rng, place, time, palms)
    what = {"beach": "beach", "mountains": "mountain landscape", "meadow": "meadow", "snow": "snowy landscape"}[place]
    when = {"day": "on a sunny day", "sunset": "at sunset", "night": "at night"}[time]
    prompt = f"a photo of a {what}{' with palm trees' if palms else ''} {when}"

    def judge(image: Image.Image) -> Verdict:
        seen = read_landscape(image)
        near = seen.distance < 40
        parts = {"place": near and seen.place == place, "time": near and seen.time == time}
        # A beach for which no palms were asked may have some.
        return {"right": all(parts.values()) and (seen.palms or not palms), **parts}

    return Question(prompt, scene, judge)


def questions(category: str, count: int, seed: int, held_out: bool) -> list[Question]:
    rng = random.Random(f"{seed}:{category}:{held_out}")
    return [question(category, rng, held_out) for _ in range(count)]
