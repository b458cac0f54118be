"""What training and evaluation ask of a world, the same of every world; and that a model of either can be trained."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from imagen_model import Imagen
from imagen_model.fidelity import held_out_scenes, measure
from imagen_model.illustrations import chinese
from imagen_model.illustrations.scene import DrawnObject, ObjectScene
from imagen_model.training.job import TrainingJob
from imagen_model.training.loop import train
from imagen_model.worlds import WORLDS, UnknownWorld, find_world

TINY = {
    "image_size": 16,
    "hidden_size": 32,
    "num_layers": 1,
    "num_heads": 2,
    "feed_forward_size": 32,
    "text_config": {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1},
}


@pytest.mark.parametrize("name", WORLDS)
def test_a_world_draws_captions_and_asks(name: str) -> None:
    world, rng = find_world(name), random.Random(1)
    assert world.name == name and set(world.held_out_categories) <= set(world.categories)
    for _ in range(10):
        scene = world.scene(rng)
        assert world.caption(scene, rng)
        for side in (16, 64):
            picture = world.picture(scene, side)
            assert picture.shape == (side, side, 3) and picture.dtype == np.uint8
    scenes = held_out_scenes(world, 10, 3)
    assert len(scenes) == 10 and scenes == held_out_scenes(world, 10, 3)


def test_an_unknown_world_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UnknownWorld, match="'mars'; there are: illustrations, bilingual_illustrations, drawn_world"):
        find_world("mars")


def test_illustrations_are_told_in_chinese_too() -> None:
    world, rng = find_world("bilingual_illustrations"), random.Random(2)
    tokenizer = world.tokenizer(64)
    told = [world.caption(world.scene(rng), rng) for _ in range(400)]
    told += ["A beautiful sunset over a tropical beach with palm trees.", "热带海滩上美丽的日落，还有棕榈树。"]
    assert not [text for text in told if tokenizer.unk_token_id in tokenizer(text)["input_ids"]]
    in_chinese = sum(not text.isascii() for text in told)
    assert 80 < in_chinese < 160
    red, ring = DrawnObject("circle", "red", 1, 5, 6), DrawnObject("ring", "green", 9, 5, 6)
    said = {chinese.caption(ObjectScene("white", (red, ring)), rng) for _ in range(900)}
    # Whichever is named first, the circle stands on the left and the ring on the right.
    assert any("红色的圆形在一个绿色的圆环的左边" in text for text in said)
    assert any("绿色的圆环在一个红色的圆形的右边" in text for text in said)
    assert any("左边是一个红色的圆形，右边是一个绿色的圆环" in text for text in said)
    wrong = ("右边是一个红", "右侧是一个红", "左边是一个绿", "左侧是一个绿", "下方", "下面", "上方")
    assert not any(mark in text for text in said for mark in wrong)


def test_a_model_is_trained_on_the_larger_world_and_says_so(tmp_path: Path) -> None:
    job = TrainingJob(
        str(tmp_path / "run"), model={**TINY, "world": "drawn_world"}, steps=2, batch_size=2, precision="fp32"
    )
    model = Imagen.from_pretrained(train(job))
    assert model.config.world == "drawn_world"
    ids = model.tokenizer("a red cat 一只红色的猫")["input_ids"]
    assert len(ids) == 2 + 3 + 6 and model.tokenizer.unk_token_id not in ids


def test_the_bundled_stage_comes_nearer_to_the_drawing_than_interpolation() -> None:
    rows = {(row.side, row.way): row for row in measure(Imagen.from_pretrained("imagen-small"), 12)}
    stage = rows[64, "stages"]
    assert stage.psnr > rows[64, "nearest"].psnr + 3 and stage.psnr > rows[64, "bicubic"].psnr + 3
    assert all(abs(shift) < 2 for shift in stage.shift)
