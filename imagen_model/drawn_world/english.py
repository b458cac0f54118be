"""English captions: many ways of saying what a scene shows. Each is true of its scene; few say everything."""

from __future__ import annotations

import random

from .scene import Still, Thing, View, relation_between
from .worlds import zone_of

NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}
# Singular forms; the first is what the exam says.
NOUNS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "disc"), "square": ("square",), "triangle": ("triangle",), "cross": ("cross", "plus sign"),
    "heart": ("heart",), "ring": ("ring",), "star": ("star",), "moon": ("moon", "crescent moon"), "sun": ("sun",),
    "cloud": ("cloud",), "tree": ("tree",), "flower": ("flower", "blossom"), "leaf": ("leaf",),
    "mushroom": ("mushroom", "toadstool"), "apple": ("apple",), "pear": ("pear",), "cactus": ("cactus",),
    "fish": ("fish",), "cat": ("cat", "kitty"), "dog": ("dog", "puppy"), "bird": ("bird",), "duck": ("duck",),
    "rabbit": ("rabbit", "bunny"), "snail": ("snail",), "butterfly": ("butterfly",), "octopus": ("octopus",),
    "car": ("car",), "bus": ("bus",), "train": ("train", "locomotive"), "bicycle": ("bicycle", "bike"),
    "boat": ("boat", "sailing boat", "sailboat"), "rocket": ("rocket", "spaceship"), "plane": ("plane", "airplane"),
    "house": ("house", "home"), "cup": ("cup", "mug"), "bottle": ("bottle",), "chair": ("chair",),
    "table": ("table",), "lamp": ("lamp",), "book": ("book", "open book"), "key": ("key",),
    "umbrella": ("umbrella",), "hat": ("hat",), "shoe": ("shoe", "sneaker"), "guitar": ("guitar",),
    "clock": ("clock", "alarm clock"), "crown": ("crown",), "ice cream": ("ice cream", "ice cream cone"),
}  # fmt: skip
PLURALS = {
    "leaf": "leaves", "cactus": "cacti", "fish": "fish", "octopus": "octopuses", "butterfly": "butterflies",
    "bunny": "bunnies", "puppy": "puppies", "kitty": "kitties", "ice cream": "ice creams",
}  # fmt: skip
SIZES = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
OPENINGS = (
    "",
    "",
    "",
    "a photo of ",
    "a picture of ",
    "a drawing of ",
    "an image of ",
    "an illustration of ",
    "there is ",
)
STYLE_OPENINGS = {
    "flat": ("a flat illustration of ", "a simple picture of ", "clip art of "),
    "ink": ("an ink drawing of ", "a cartoon of ", "a comic drawing of "),
    "crayon": ("a crayon drawing of ", "a pastel drawing of ", "a wax crayon picture of "),
}
STYLE_ENDINGS = {
    "flat": (", flat style", " in a flat style", ", flat design"),
    "ink": (", ink style", " with ink outlines", ", outlined in ink"),
    "crayon": (", crayon style", " drawn with crayons", " in pastel"),
}
STYLE_SENTENCES = {
    "flat": ("It is a flat illustration.", "The style is flat and simple."),
    "ink": ("It is drawn with ink outlines.", "The style is a comic with outlines."),
    "crayon": ("It is drawn with crayons.", "The style is a crayon drawing."),
}
PHRASES = {
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under", "beneath", "underneath"),
}
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
SPOTS = {
    (-1, -1): "top left corner",
    (1, -1): "top right corner",
    (-1, 1): "bottom left corner",
    (1, 1): "bottom right corner",
}
SIDES = {
    (-1, 0): "on the left",
    (1, 0): "on the right",
    (0, -1): "at the top",
    (0, 1): "at the bottom",
    (0, 0): "in the middle",
}
PLACE_WORDS = {
    "beach": ("beach", "sandy beach", "tropical beach", "seaside", "beach by the sea"),
    "mountains": ("mountain landscape", "view of the mountains", "mountain range", "landscape with mountains"),
    "city": ("city", "city street", "skyline", "town with tall buildings"),
    "forest": ("forest", "pine forest", "path through a forest", "woodland"),
    "sea": ("sea", "calm sea", "ocean", "view of the open sea"),
    "space": ("view of outer space", "starry space with a planet", "picture of space with stars", "planet in space"),
    "meadow": ("meadow", "green meadow", "field of flowers", "flower meadow"),
    "snow": ("snowy landscape", "winter landscape", "snowy field with trees", "winter scene"),
}
OVER = {
    "beach": ("a tropical beach", "a beach", "a sandy beach", "the beach"),
    "mountains": ("the mountains", "a mountain range", "snowy peaks"),
    "city": ("a city", "the city", "tall buildings", "a city street"),
    "forest": ("a forest", "the forest", "a pine forest", "the trees"),
    "sea": ("the sea", "the ocean", "calm water"),
    "meadow": ("a meadow", "a field of flowers", "the hills"),
    "snow": ("a snowy landscape", "a winter landscape", "a snowy field"),
}
SCENIC = ("", "", "", "beautiful ", "calm ", "peaceful ", "lovely ", "quiet ")
TIMES = {
    "day": ("by day", "in daylight", "in the daytime", "during the day"),
    "sunset": ("at sunset", "at dusk", "in the evening", "at sundown"),
    "night": ("at night", "by night", "in the dark of night"),
}
CLEAR_TIMES = {
    "day": ("on a sunny day", "under a blue sky", "on a clear day", "in bright sunshine"),
    "sunset": ("at sunset", "under a sunset sky", "as the sun goes down", "at dusk"),
    "night": ("on a clear night", "under the moon", "in the moonlight", "under the stars"),
}
WEATHERS = {
    "cloudy": ("under a cloudy sky", "under clouds", "in cloudy weather"),
    "rain": ("in the rain", "while it is raining", "in rainy weather", "on a rainy {}"),
    "snow": ("in falling snow", "while it is snowing", "with snowflakes falling", "on a snowy {}"),
    "fog": ("in the fog", "in thick fog", "on a foggy {}", "in the mist"),
}
WEATHER_SENTENCES = {
    "clear": ("The sky is clear.", "There are no clouds."),
    "cloudy": ("The sky is cloudy.", "There are clouds in the sky."),
    "rain": ("It is raining.", "Rain is falling."),
    "snow": ("It is snowing.", "Snow is falling."),
    "fog": ("It is foggy.", "There is fog everywhere."),
}
TIME_SENTENCES = {
    "day": ("It is day.", "It is daytime."),
    "sunset": ("The sun is setting.", "It is evening."),
    "night": ("It is night.", "It is dark."),
}
TIME_NOUNS = {"day": "day", "sunset": "evening", "night": "night"}
PALMS = (" with palm trees", " with palms", " and palm trees")
WHERE = {
    "beach": ("on a beach", "on the beach", "on the sand", "at a tropical beach"),
    "mountains": ("in the mountains", "in front of mountains"),
    "city": ("in the city", "in a city street", "on a road in the city"),
    "forest": ("in the forest", "in a pine forest", "in the woods"),
    "sea": ("on the sea", "on the water", "in the ocean"),
    "space": ("in space", "in outer space", "among the stars"),
    "meadow": ("in a meadow", "in the meadow", "on the grass"),
    "snow": ("in the snow", "in a snowy landscape", "on a snowy field"),
}


def plural(word: str) -> str:
    """The plural of a noun of `NOUNS`."""
    head, _, last = word.rpartition(" ")
    ending = "es" if last.endswith(("s", "sh", "ch")) else "s"
    return PLURALS.get(word, f"{head} {last}{ending}".strip())


def with_article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def caption(scene: Still | View, rng: random.Random) -> str:
    """One to three sentences, in lower or sentence case."""
    sentences = still_sentences(scene, rng) if isinstance(scene, Still) else view_sentences(scene, rng)
    text = sentences[0]
    if len(sentences) > 1 or rng.random() < 0.35:
        text = text[0].upper() + text[1:]
    if len(sentences) == 1:
        return text + ("." if rng.random() < 0.3 else "")
    return " ".join([text + ".", *sentences[1:]])


def name(thing: Thing, rng: random.Random, coloured: bool, sized: bool = False) -> str:
    size = f"{rng.choice(SIZES[thing.size_word])} " if sized and thing.size_word in SIZES else ""
    return with_article(f"{size}{thing.colour + ' ' if coloured else ''}{rng.choice(NOUNS[thing.kind])}")


def still_sentences(scene: Still, rng: random.Random) -> list[str]:
    things = scene.things
    coloured = rng.random() < 0.85
    looks = {thing.look for thing in things}
    extra: list[str] = []
    if len(things) == 1:
        body = name(things[0], rng, coloured, sized=rng.random() < 0.5)
        spot = spot_of(things[0])
        if rng.random() < 0.35:
            body += f" {spot}"
        elif rng.random() < 0.15:
            extra.append(f"It is {spot}.")
    elif len(looks) == 1:
        word = plural(rng.choice(NOUNS[things[0].kind]))
        body = f"{NUMBERS[len(things)]} {things[0].colour + ' ' if coloured else ''}{word}"
    elif len(things) == 2:
        body = pair_body(things, rng, coloured)
    else:
        names = [name(thing, rng, coloured) for thing in rng.sample(things, len(things))]
        body = f"{', '.join(names[:-1])} and {names[-1]}"
    opening, ending = rng.choice(OPENINGS), ""
    if opening == "there is " and body.split()[0] in NUMBERS.values():
        opening = "there are "
    if rng.random() < 0.3:
        if rng.random() < 0.6:
            ending = f" {rng.choice(('on', 'against'))} {with_article(scene.background)} background"
        else:
            extra.append(f"The background is {scene.background}.")
    return [*styled(scene.style, opening, body + ending, extra, rng), *extra]


def styled(style: str, opening: str, body: str, extra: list[str], rng: random.Random) -> list[str]:
    """The first sentence, the style being said at its start, at its end, afterwards or (mostly) not at all."""
    draw = rng.random()
    if draw < 0.12:
        return [rng.choice(STYLE_OPENINGS[style]) + body]
    if draw < 0.22:
        return [opening + body + rng.choice(STYLE_ENDINGS[style])]
    if draw < 0.30:
        extra.append(rng.choice(STYLE_SENTENCES[style]))
    return [opening + body]


def spot_of(thing: Thing) -> str:
    """Where a lone thing is, as "on the left" or "in the top left corner"."""
    across, down = (-1 if c < 13 else 1 if c > 19 else 0 for c in thing.centre)
    return f"in the {SPOTS[across, down]}" if across and down else SIDES[across, down]


def pair_body(things: tuple[Thing, ...], rng: random.Random, coloured: bool) -> str:
    first, second = things if rng.random() < 0.5 else things[::-1]
    sized = first.size_word != second.size_word and rng.random() < 0.6
    names = [name(thing, rng, coloured, sized) for thing in (first, second)]
    draw = rng.random()
    if draw < 0.3:
        return f"{names[0]} and {names[1]}"
    relation = relation_between(first, second)
    if draw < 0.4:
        sides = {"left of": SIDES[-1, 0], "right of": SIDES[1, 0], "above": SIDES[0, -1], "below": SIDES[0, 1]}
        return f"{names[0]} {sides[relation]} and {names[1]} {sides[OPPOSITE[relation]]}"
    return f"{names[0]} {rng.choice(PHRASES[relation])} {names[1]}"


def when(view: View, rng: random.Random) -> str:
    """Time and weather, or one of them, with a leading space; nothing in space."""
    if view.place == "space":
        return ""
    if view.weather == "clear":
        return f" {rng.choice((*CLEAR_TIMES[view.time], *TIMES[view.time]))}"
    weather = rng.choice(WEATHERS[view.weather])
    if "{}" in weather:
        return " " + weather.format(TIME_NOUNS[view.time])
    parts = [weather, rng.choice(TIMES[view.time])]
    rng.shuffle(parts)
    return " " + " ".join(parts if rng.random() < 0.75 else parts[:1])


def view_sentences(view: View, rng: random.Random) -> list[str]:
    trees = rng.choice(PALMS) if view.palms and rng.random() < 0.9 else ""
    extra: list[str] = []
    opening = rng.choice(OPENINGS)
    if view.things:
        thing = name(view.things[0], rng, rng.random() < 0.9)
        return [*styled(view.style, opening, f"{thing} {where(view, rng)}{trees}{when(view, rng)}", extra, rng), *extra]
    if view.time == "sunset" and view.weather == "clear" and rng.random() < 0.45:
        sunset = with_article(f"{rng.choice(('', '', 'beautiful ', 'red ', 'golden ', 'lovely '))}sunset")
        return [
            *styled(view.style, opening, f"{sunset} over {rng.choice(OVER[view.place])}{trees}", extra, rng),
            *extra,
        ]
    body = with_article(f"{rng.choice(SCENIC)}{rng.choice(PLACE_WORDS[view.place])}{trees}")
    if rng.random() < 0.25 and view.place != "space":
        extra += [rng.choice(TIME_SENTENCES[view.time]), rng.choice(WEATHER_SENTENCES[view.weather])]
        rng.shuffle(extra)
        if trees:
            body, more = (
                body.removesuffix(trees),
                rng.choice(("There are palm trees.", "Palm trees stand on the sand.")),
            )
            extra.append(more)
    else:
        body += when(view, rng)
    return [*styled(view.style, opening, body, extra, rng), *extra]


def where(view: View, rng: random.Random) -> str:
    """Where the view's thing is."""
    zone = zone_of(view)
    if zone == "sky":
        return f"{rng.choice(('over', 'above', 'flying over', 'in the sky over'))} {rng.choice(OVER[view.place])}"
    if zone == "water" and view.place == "beach":
        return rng.choice(("on the sea by a beach", "on the water near the beach", "on the sea at a tropical beach"))
    return rng.choice(WHERE[view.place])
