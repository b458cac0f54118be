"""The drawn world: captions tell the truth, the checker reads drawings back, held-out looks stay out."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from imagen_model.exam import score, shuffled
from imagen_model.illustrations.captions import caption
from imagen_model.illustrations.checker import read_landscape, read_objects
from imagen_model.illustrations.drawing import draw
from imagen_model.illustrations.exam import CATEGORIES, questions
from imagen_model.illustrations.scene import HELD_OUT, DrawnObject, Landscape, ObjectScene
from imagen_model.illustrations.worlds import random_scene
from imagen_model.training.data import Batches, Drawings
from imagen_model.worlds import find_world


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("held_out", [False, True])
def test_the_scale_has_two_ends(category: str, held_out: bool) -> None:
    asked = questions(category, 200, 3, held_out)
    truth = find_world("illustrations").draw_answers(asked, 16)
    assert score(category, asked, truth).share >= 0.99
    assert score(category, asked, shuffled(truth)).share <= 0.35


def test_drawings_are_read_back_object_by_object() -> None:
    rng = random.Random(4)
    for _ in range(500):
        scene = random_scene(rng)
        if isinstance(scene, Landscape):
            seen = read_landscape(draw(scene))
            assert (seen.place, seen.time, seen.palms) == (scene.place, scene.time, bool(scene.palms))
        else:
            found = sorted(
                (thing.shape or "?", thing.colour) for thing in read_objects(draw(scene).repeat(8, 0).repeat(8, 1))
            )
            assert found == sorted((thing.shape, thing.colour) for thing in scene.objects)


def test_the_checker_does_not_see_what_is_not_there() -> None:
    scene = ObjectScene("white", (DrawnObject("heart", "red", 4, 4, 8),))
    wrong = ObjectScene("white", (DrawnObject("square", "red", 4, 4, 8),))
    (question,) = [one for one in questions("colours", 300, 0, True) if one.prompt == "a photo of a red heart"][:1]
    assert question.judge(Image.fromarray(draw(scene)))["right"]
    assert not question.judge(Image.fromarray(draw(wrong)))["right"]
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    assert not question.judge(Image.fromarray(noise))["right"]


def test_no_training_picture_holds_a_held_out_look() -> None:
    rng = random.Random(1)
    for _ in range(5000):
        scene = random_scene(rng)
        if isinstance(scene, ObjectScene):
            assert HELD_OUT.isdisjoint((thing.colour, thing.shape) for thing in scene.objects)


def test_captions_are_true() -> None:
    scene = ObjectScene("gray", (DrawnObject("circle", "red", 1, 5, 6), DrawnObject("square", "blue", 9, 5, 6)))
    said = {caption(scene, random.Random(seed)).lower().rstrip(".") for seed in range(300)}
    assert len(said) > 50
    for text in said:
        left = text.split(" on a gray")[0]
        red = min(left.find(word) % 1000 for word in ("circle", "disc"))
        if "left of" in left:
            assert red < left.find("square"), text
        if "right of" in left:
            assert red > left.find("square"), text
        assert "black" not in text and "above" not in text


def test_a_finer_drawing_shows_the_same_scene() -> None:
    scene = random_scene(random.Random(8))
    assert draw(scene, 128).shape == (128, 128, 3)
    with pytest.raises(ValueError, match="multiple of 16, got 100"):
        draw(scene, 100)


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    first = Batches(Drawings("illustrations"), 1, 4, 16, 100, 0.1)[7]
    again = Batches(Drawings("illustrations"), 1, 4, 16, 50, 0.1)[7]
    other = Batches(Drawings("illustrations"), 2, 4, 16, 100, 0.1)[7]
    assert first[0] == again[0] and bool((first[1] == again[1]).all())
    assert first[0] != other[0]
