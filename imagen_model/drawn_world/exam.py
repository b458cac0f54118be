"""Questions in GenEval's categories whose answers the checker can read back from a picture."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import permutations

from PIL import Image

from ..exam import Question, Verdict
from . import chinese, english, worlds
from .checker import SeenThing, read_things
from .scene import (
    HELD_OUT_KIND_PAIRS,
    HELD_OUT_LOOKS,
    HELD_OUT_WEATHER,
    PLACES,
    RELATIONS,
    SEEN_LOOKS,
    SKIES,
    Look,
    View,
)
from .scenery import read_view

CATEGORIES = ("single object", "two objects", "counting", "colours", "position", "attribute binding", "scenes")
# A picture farther than this from every drawing of a place (mean distance in RGB) shows no place.
FARTHEST_VIEW = 42.0


def questions(category: str, count: int, seed: int, held_out: bool, language: str = "english") -> list[Question]:
    """`count` random questions, the same for the same arguments.

    Args:
        held_out: whether each asks for a combination that no training picture shows: a look, a pair of kinds, or
            (in "scenes") a weather in a place.
        language: "english" or "chinese".

    Raises:
        ValueError: no such category or language.
    """
    if category not in CATEGORIES:
        raise ValueError(f"no such category: {category!r}; there are {CATEGORIES}")
    if language not in ("english", "chinese"):
        raise ValueError(f"no questions in {language!r}; there are english and chinese")
    rng = random.Random(f"{seed}:{category}:{held_out}")
    return [question(category, rng, held_out, language) for _ in range(count)]


def question(category: str, rng: random.Random, held_out: bool, language: str) -> Question:
    words = noun_phrase_english if language == "english" else noun_phrase_chinese
    opening, joint = ("a photo of ", " and ") if language == "english" else ("", "和")
    if category == "scenes":
        return scene_question(rng, held_out, language)
    if category in ("single object", "colours"):
        look = rng.choice(tuple(sorted(HELD_OUT_LOOKS)) if held_out else SEEN_LOOKS)
        coloured = category == "colours"
        prompt = opening + words(look, 1, coloured)
        return Question(prompt, worlds.single(rng, look), lambda image: so_many(image, look, 1, coloured))
    if category == "counting":
        look, count = rng.choice(tuple(sorted(HELD_OUT_LOOKS)) if held_out else SEEN_LOOKS), rng.randint(2, 5)
        prompt = opening + words(look, count, True)
        return Question(prompt, worlds.counted(rng, look, count), lambda image: so_many(image, look, count, True))
    if category == "attribute binding" and rng.random() < 1 / 3:
        three = several_looks(rng, 3, held_out)
        names = [words(look, 1, True) for look in three]
        mark = ", " if language == "english" else "、"
        prompt = f"{opening}{names[0]}{mark}{names[1]}{joint}{names[2]}"
        scene = worlds.three(rng, (three[0], three[1], three[2]))
        return Question(prompt, scene, lambda image: all_of(image, three, True, None))
    both = several_looks(rng, 2, held_out)
    relation = rng.choice(RELATIONS)
    pictured = worlds.pair(rng, both[0], both[1], relation)
    coloured = category == "attribute binding"
    first, second = (words(look, 1, coloured) for look in both)
    if category != "position":
        return Question(f"{opening}{first}{joint}{second}", pictured, lambda image: all_of(image, both, coloured, None))
    prompt = f"{opening}{first} {relation} {second}"
    if language == "chinese":
        prompt = f"{first}在{second}的{chinese.SIDES[relation][0]}"
    return Question(prompt, pictured, lambda image: all_of(image, both, False, relation))


def several_looks(rng: random.Random, count: int, held_out: bool) -> tuple[Look, ...]:
    """Looks that differ in kind and colour; held out, all of them are, or (half of the pairs) two kinds together."""
    if not held_out:
        return worlds.two_looks(rng) if count == 2 else worlds.three_looks(rng)
    by_kinds = count == 2 and rng.random() < 0.5
    pool = SEEN_LOOKS if by_kinds else tuple(sorted(HELD_OUT_LOOKS))
    while True:
        looks = tuple(rng.choice(pool) for _ in range(count))
        apart = all(worlds.may_meet(one, other) for one, other in permutations(looks, 2))
        together = frozenset(look[1] for look in looks) in HELD_OUT_KIND_PAIRS
        if apart and worlds.compatible({look[0] for look in looks}) and (together or not by_kinds):
            return looks


def noun_phrase_english(look: Look, count: int, coloured: bool) -> str:
    colour, kind = look
    noun = english.NOUNS[kind][0]
    words = f"{colour} " if coloured else ""
    return (
        english.with_article(words + noun) if count == 1 else f"{english.NUMBERS[count]} {words}{english.plural(noun)}"
    )


def noun_phrase_chinese(look: Look, count: int, coloured: bool) -> str:
    colour, kind = look
    measure, nouns = chinese.NOUNS[kind]
    return f"{chinese.NUMBERS[count]}{measure}{chinese.COLOURS[colour] + '的' if coloured else ''}{nouns[0]}"


def so_many(image: Image.Image, look: Look, count: int, coloured: bool) -> Verdict:
    seen = read_things(image)
    number = len(seen) == count
    kind = number and all(thing.kind == look[1] for thing in seen)
    colour = number and all(thing.colour == look[0] for thing in seen)
    return {"right": kind and (colour or not coloured), "number": number, "kind": kind, "colour": colour}


def all_of(image: Image.Image, looks: Sequence[Look], coloured: bool, relation: str | None) -> Verdict:
    """Exactly these things are there, and the first two stand as `relation` says."""
    seen = read_things(image)
    number = len(seen) == len(looks)
    orders = [
        order
        for order in (permutations(seen) if number else ())
        if all(fits(thing, look, coloured) for thing, look in zip(order, looks, strict=True))
    ]
    placed = [order for order in orders if relation is None or stands(order[0], order[1], relation)]
    return {"right": bool(placed), "objects": bool(orders), "number": number}


def fits(seen: SeenThing, look: Look, coloured: bool) -> bool:
    return seen.kind == look[1] and (not coloured or seen.colour == look[0])


def stands(one: SeenThing, other: SeenThing, relation: str) -> bool:
    across, down = one.x - other.x, one.y - other.y
    along, aside = {
        "left of": (-across, down), "right of": (across, down), "above": (-down, across), "below": (down, across),
    }[relation]  # fmt: skip
    return along > 0 and along >= abs(aside)


def scene_question(rng: random.Random, held_out: bool, language: str) -> Question:
    """A place by time of day and weather, on the beach with palm trees or without a word of them."""
    skies = [(p, t, w) for p in PLACES for t, w in SKIES[p] if ((p, w) in HELD_OUT_WEATHER) == held_out]
    place, time, weather = rng.choice(skies)
    palms = place == "beach" and rng.random() < 0.5
    scene = worlds.view(rng, place, time, weather, palms=palms)
    return Question(scene_prompt(scene, language), scene, lambda image: judge_view(image, scene))


def scene_prompt(scene: View, language: str) -> str:
    if language == "chinese":
        time = chinese.CLEAR_TIMES if scene.weather == "clear" else chinese.WEATHER_TIMES[scene.weather]
        said = "" if scene.place == "space" else time[scene.time]
        said = said if isinstance(said, str) else said[0]
        return f"{said}{'的' if said else ''}{chinese.PLACES[scene.place][0]}{chinese.PALMS[0] if scene.palms else ''}"
    place = english.with_article(english.PLACE_WORDS[scene.place][0]) + (english.PALMS[0] if scene.palms else "")
    if scene.place == "space":
        return f"a photo of {place}"
    if scene.weather == "clear":
        return f"a photo of {place} {english.CLEAR_TIMES[scene.time][0]}"
    return f"a photo of {place} {english.TIMES[scene.time][0]} {english.WEATHERS[scene.weather][0]}"


def judge_view(image: Image.Image, asked: View) -> Verdict:
    seen = read_view(image, with_things=False)
    near = seen.distance < FARTHEST_VIEW
    parts = {
        "place": near and seen.place == asked.place,
        "time": near and seen.time == asked.time,
        "weather": near and seen.weather == asked.weather,
        # A beach for which no palms were asked may have some.
        "palms": near and (seen.palms or not asked.palms),
    }
    return {"right": all(parts.values()), **parts}
