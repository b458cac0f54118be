"""The one sentence that describes a drawn scene as alt text, and what such a sentence says, read back.

Unlike a prompt's caption, which says a true thing in one of many ways, an alt text says all that is clear, always in
the same words: number, size, colour, shape, relation and background, or place, palm trees and time.
"""

from __future__ import annotations

import re
from collections import Counter

from .captions import NUMBERS, in_reading_order, plural, relation_between, with_article
from .scene import BACKGROUNDS, COLOURS, PLACES, RELATIONS, SHAPES, TIMES, Landscape, ObjectScene, Scene

PLACE_NAMES = {"beach": "beach", "mountains": "mountain landscape", "meadow": "meadow", "snow": "snowy landscape"}
TIME_NAMES = {"day": "on a sunny day", "sunset": "at sunset", "night": "at night"}
PALMS = ("", " with a palm tree", " with two palm trees")
SMALLEST_LARGE, LARGEST_SMALL = 12, 8  # sides of a lone object, in cells
COUNTS = {word: number for number, word in NUMBERS.items()}

Looks = Counter[tuple[str, str]]


def alt_text(scene: Scene) -> str:
    """A sentence of 4 to 13 words, such as "A blue ring above an orange triangle on a white background."."""
    if isinstance(scene, Landscape):
        text = with_article(PLACE_NAMES[scene.place]) + PALMS[len(scene.palms)] + " " + TIME_NAMES[scene.time]
    else:
        text = f"{objects_text(scene)} on {with_article(scene.background)} background"
    return text[0].upper() + text[1:] + "."


def objects_text(scene: ObjectScene) -> str:
    first = scene.objects[0]
    if len(scene.objects) == 1:
        size = "small " if first.size <= LARGEST_SMALL else "large " if first.size >= SMALLEST_LARGE else ""
        return with_article(f"{size}{first.colour} {first.shape}")
    if len({(thing.colour, thing.shape) for thing in scene.objects}) == 1:
        return f"{NUMBERS[len(scene.objects)]} {first.colour} {plural(first.shape)}"
    things = in_reading_order(scene)
    relation = relation_between(scene, in_order=things[0] is first)
    names = [with_article(f"{thing.colour} {thing.shape}") for thing in things]
    return f"{names[0]} {relation} {names[1]}"


def vocabulary() -> list[str]:
    """Every word that an alt text can hold, with its capitals, sorted; without the full stop."""
    numbers = [*NUMBERS.values(), "a", "an"]
    nouns = [*SHAPES, *map(plural, SHAPES)]
    phrases = [*COLOURS, *BACKGROUNDS, *RELATIONS, *PLACE_NAMES.values(), *TIME_NAMES.values(), *PALMS]
    text = " ".join([*numbers, *(word.capitalize() for word in numbers), *nouns, *phrases, "small large background"])
    return sorted(set(text.split()))


def looks_of(text: str) -> Looks:
    """How many objects of each colour and shape a sentence of these words names; empty for a landscape's."""
    nouns = {**{shape: shape for shape in SHAPES}, **{plural(shape): shape for shape in SHAPES}}
    pattern = rf"\b(an?|{'|'.join(COUNTS)}) (?:small |large )?({'|'.join(COLOURS)}) ({'|'.join(nouns)})\b"
    found: Looks = Counter()
    for number, colour, noun in re.findall(pattern, text.lower()):
        found[colour, nouns[noun]] += COUNTS.get(number, 1)
    return found


def place_and_time_of(text: str) -> tuple[str | None, str | None]:
    """The place and time that a sentence of these words names."""
    place = next((name for name in PLACES if PLACE_NAMES[name] in text), None)
    return place, next((name for name in TIMES if TIME_NAMES[name] in text), None)
