"""Many ways of saying what a scene shows. Every caption is true; few say everything."""

from __future__ import annotations

import random

from .scene import DrawnObject, Landscape, ObjectScene, Scene

OPENINGS = ("", "", "", "a photo of ", "a picture of ", "a drawing of ", "an image of ", "an illustration of ")
NUMBERS = {2: "two", 3: "three", 4: "four"}
PLURALS = {"cross": "crosses"}
SYNONYMS = {"circle": ("circle", "circle", "disc"), "cross": ("cross", "cross", "plus sign")}
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
PHRASES = {
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over", "on top of"),
    "below": ("below", "under", "beneath"),
}
TIME_WORDS = {
    "day": ("on a sunny day", "by day", "under a blue sky", "on a clear day", "in daylight"),
    "sunset": ("at sunset", "at dusk", "in the evening", "under a sunset sky"),
    "night": ("at night", "under the moon", "in the moonlight", "under a dark sky"),
}
SCENIC = ("", "", "a beautiful ", "a calm ", "a peaceful ", "a lovely ")
PLACE_WORDS = {
    "beach": ("beach", "sandy beach", "tropical beach", "seaside", "beach by the sea"),
    "mountains": ("mountain landscape", "view of the mountains", "mountain range", "landscape with mountains"),
    "meadow": ("meadow", "green meadow", "field of flowers", "flower meadow"),
    "snow": ("snowy landscape", "winter landscape", "snowy field with trees", "landscape in the snow"),
}
OVER = {
    "beach": ("a tropical beach", "a beach", "the sea", "a sandy beach"),
    "mountains": ("the mountains", "a mountain range", "snowy peaks"),
    "meadow": ("a meadow", "a field of flowers", "a green meadow"),
    "snow": ("a snowy landscape", "a winter landscape", "a snowy field"),
}


def caption(scene: Scene, rng: random.Random) -> str:
    """A caption in lower or sentence case, 2 to 20 words."""
    text = landscape_caption(scene, rng) if isinstance(scene, Landscape) else object_caption(scene, rng)
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:]
    return text + ("." if rng.random() < 0.25 else "")


def noun(shape: str, rng: random.Random) -> str:
    return rng.choice(SYNONYMS.get(shape, (shape,)))


def with_article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def object_caption(scene: ObjectScene, rng: random.Random) -> str:
    objects = scene.objects
    looks = {(thing.shape, thing.colour) for thing in objects}
    if len(objects) == 1:
        # A lone object is named with its colour more often than not, as people do; often enough without, that a model
        # learns to choose one.
        thing = objects[0]
        size = rng.choice(("", "small ") if thing.size <= 8 else ("", "large ", "big ") if thing.size >= 11 else ("",))
        colour = f"{thing.colour} " if rng.random() < 0.7 else ""
        body = with_article(f"{size}{colour}{noun(thing.shape, rng)}")
    elif len(looks) == 1 and (len(objects) > 2 or rng.random() < 0.7):
        thing = objects[0]
        word = noun(thing.shape, rng)
        colour = f"{thing.colour} " if rng.random() < 0.8 else ""
        body = f"{NUMBERS[len(objects)]} {colour}{plural(word)}"
    else:
        body = pair_caption(scene, rng)
    ending = f" on a {scene.background} background" if rng.random() < 0.35 else ""
    return rng.choice(OPENINGS) + body + ending


def plural(word: str) -> str:
    return PLURALS.get(word, word + "s")


def pair_caption(scene: ObjectScene, rng: random.Random) -> str:
    together = rng.random() < 0.35
    first, second = in_order_of_naming(scene, rng, together)
    coloured = rng.random() < 0.65
    names = [
        with_article((f"{thing.colour} " if coloured else "") + noun(thing.shape, rng)) for thing in (first, second)
    ]
    if together:
        return f"{names[0]} and {names[1]}"
    relation = relation_between(scene, in_order=first is scene.objects[0])
    return f"{names[0]} {rng.choice(PHRASES[relation])} {names[1]}"


def in_order_of_naming(scene: ObjectScene, rng: random.Random, together: bool) -> tuple[DrawnObject, DrawnObject]:
    """Reading order where a caption names both without a relation (`together`), else either."""
    first, second = in_reading_order(scene)
    return (first, second) if together or rng.random() < 0.5 else (second, first)


def in_reading_order(scene: ObjectScene) -> tuple[DrawnObject, DrawnObject]:
    """The left or upper one of two first, as people name them where they do not say how they stand; so that an "and"
    says almost as much of the picture as a relation, and a pixel decoder, which draws in that order, can use it."""
    first, second = scene.objects
    return (first, second) if relation_between(scene) in ("left of", "above") else (second, first)


def relation_between(scene: ObjectScene, in_order: bool = True) -> str:
    """How the first object stands to the second (or the second to the first), along the axis of larger distance."""
    first, second = scene.objects
    across, down = (
        ((first.x * 2 + first.size) - (second.x * 2 + second.size)),
        ((first.y * 2 + first.size) - (second.y * 2 + second.size)),
    )
    if abs(across) >= abs(down):
        relation = "left of" if across < 0 else "right of"
    else:
        relation = "above" if down < 0 else "below"
    return relation if in_order else OPPOSITE[relation]


def landscape_caption(scene: Landscape, rng: random.Random) -> str:
    trees = rng.choice((" with palm trees", " with palms")) if scene.palms else ""
    if scene.time == "sunset" and rng.random() < 0.4:
        return f"{rng.choice(('a ', 'a beautiful ', 'a red '))}sunset over {rng.choice(OVER[scene.place])}{trees}"
    opening = rng.choice(SCENIC)
    place = rng.choice(PLACE_WORDS[scene.place])
    body = f"{opening}{place}" if opening else with_article(place)
    if rng.random() < 0.2 and not trees:
        return rng.choice(OPENINGS) + body + " " + rng.choice(TIME_WORDS[scene.time])
    parts = [trees, " " + rng.choice(TIME_WORDS[scene.time])]
    if rng.random() < 0.3:
        parts.reverse()
    return rng.choice(OPENINGS) + body + "".join(parts)


def vocabulary() -> list[str]:
    """Every word that a caption can hold, lower case, sorted: drawn from the tables above."""
    rng = random.Random(0)
    from .worlds import random_scene

    words: set[str] = set()
    for _ in range(30_000):
        words.update(caption(random_scene(rng), rng).lower().rstrip(".").split())
    return sorted(words)
