"""How often a caption names what a picture shows: the sentence is read back and compared, object by object.

Three kinds of pictures: drawings of objects whose colour and shape training shows together, drawings of pairs that it
never shows, and the pictures of a model itself, of which the checker says what is on them.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from .captioner import Captioner
from .exam import answer, wilson
from .generation import Generator
from .illustrations import worlds
from .illustrations.alt_text import Looks, alt_text, looks_of, place_and_time_of
from .illustrations.checker import read_objects
from .illustrations.exam import questions
from .illustrations.scene import GRID, RELATIONS, Landscape, ObjectScene, Scene
from .worlds import find_world

PARTS = ("objects", "colours", "count", "sentence")
OWN = ("colours", "counting")  # of the exam's categories: those that the bundled model draws well


@dataclass(frozen=True, slots=True)
class CaptionScore:
    """How many of `count` captions name every object, colour and the count right, and the single parts: `objects` the
    shapes, `colours`, `count`, and `sentence` the whole text to the letter, where there is a right one."""

    pictures: str
    side: int
    count: int
    right: int
    parts: dict[str, int]

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.right, self.count)


def object_scenes(looks: Sequence[tuple[str, str]], count: int, seed: int) -> list[ObjectScene]:
    """One object, two that differ, and two to four alike, by turns, of these colours and shapes."""
    rng, scenes = random.Random(f"captions:{seed}"), []
    for index in range(count):
        first = rng.choice(looks)
        others = [look for look in looks if look[0] != first[0] and look[1] != first[1]]
        match index % 3:
            case 0:
                scenes.append(worlds.single(rng, first))
            case 1:
                scenes.append(worlds.pair(rng, first, rng.choice(others), rng.choice(RELATIONS)))
            case _:
                scenes.append(worlds.counted(rng, first, rng.choice((2, 3, 4))))
    return scenes


def looks_in(scene: ObjectScene) -> Looks:
    return Looks((thing.colour, thing.shape) for thing in scene.objects)


def agreement(text: str, truth: Looks) -> dict[str, bool]:
    """What a sentence names, part by part, beside what is there."""
    said = looks_of(text)
    colours, shapes = ([sorted(look[part] for look in found.elements()) for found in (said, truth)] for part in (0, 1))
    return {
        "right": said == truth,
        "objects": set(shapes[0]) == set(shapes[1]),
        "colours": set(colours[0]) == set(colours[1]),
        "count": said.total() == truth.total(),
    }


def score(name: str, side: int, verdicts: Sequence[dict[str, bool]]) -> CaptionScore:
    parts = {part: sum(verdict[part] for verdict in verdicts) for part in PARTS if part in verdicts[0]}
    return CaptionScore(name, side, len(verdicts), sum(verdict["right"] for verdict in verdicts), parts)


def captions(captioner: Captioner, images: Sequence[Image.Image]) -> list[str]:
    return [result.text for result in captioner.caption(images)]


def drawings(captioner: Captioner, name: str, scenes: Sequence[Scene], side: int) -> CaptionScore:
    """On the drawings of these scenes, at that side."""
    world = find_world("illustrations")
    texts = captions(captioner, [Image.fromarray(world.picture(scene, side)) for scene in scenes])
    verdicts = []
    for scene, text in zip(scenes, texts, strict=True):
        if isinstance(scene, Landscape):
            verdict = {"right": place_and_time_of(text) == (scene.place, scene.time)}
        else:
            verdict = agreement(text, looks_in(scene))
        verdicts.append(verdict | {"sentence": text == alt_text(scene)})
    return score(name, side, verdicts)


def own_pictures(captioner: Captioner, generator: Generator, count: int, held_out: bool, seed: int) -> CaptionScore:
    """On a model's pictures in its default size, of which the checker recognises every object."""
    asked = [one for category in OWN for one in questions(category, -(-count // len(OWN)), seed, held_out)]
    cells, shown = (answer(generator, asked, seed, side) for side in (GRID, None))
    known: list[tuple[Image.Image, Looks]] = []
    for small, large in zip(cells, shown, strict=True):
        seen = read_objects(small) if small is not None else []
        truth = Looks((thing.colour, thing.shape) for thing in seen if thing.shape is not None)
        if large is not None and seen and truth.total() == len(seen):
            known.append((large, truth))
    texts = captions(captioner, [image for image, _ in known])
    verdicts = [agreement(text, truth) for text, (_, truth) in zip(texts, known, strict=True)]
    return score("own, held out" if held_out else "own, seen", known[0][0].width, verdicts)


def line(found: CaptionScore) -> str:
    low, high = found.interval
    shares = ", ".join(f"{part} {right / found.count:.3f}" for part, right in found.parts.items())
    share = f"{found.right / found.count:.3f} | {low:.3f} to {high:.3f}"
    return f"| {found.pictures} | {found.side} | {found.count} | {share} | {shares} |"


def main(say: Callable[[str], None] = print) -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("captioner", nargs="?", default="imagen-small", help="As `imagegen caption --model` takes it.")
    parser.add_argument("--model", help="A model whose own pictures are captioned too.")
    parser.add_argument("--samples", type=int, default=256, help="Pictures a row.")
    parser.add_argument("--own-samples", type=int, default=64, help="Pictures a split that the model makes.")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    captioner, count = Captioner.from_pretrained(given.captioner), given.samples
    say("| pictures | side | number | right | 95 % interval | parts |\n|---|---|---|---|---|---|")
    scenes: dict[str, Sequence[Scene]] = {
        "seen": object_scenes(worlds.SEEN_PAIRS, count, given.seed),
        "held out": object_scenes(worlds.HELD_OUT_PAIRS, count, given.seed),
        "landscapes": [worlds.landscape(random.Random(f"captions:{given.seed}:{index}")) for index in range(count)],
    }
    for name, some in scenes.items():
        for side in (64, 256):
            say(line(drawings(captioner, name, some, side)))
    if given.model is not None:
        from .catalog import find_model

        generator = find_model(given.model).load()
        for held_out in (False, True):
            say(line(own_pictures(captioner, generator, given.own_samples, held_out, given.seed)))


if __name__ == "__main__":
    main()
