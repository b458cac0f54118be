"""The drawn world: one truth for captions, pictures and checker; what is held out stays out; distances are right."""

from __future__ import annotations

import random
import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from imagen_model.distances import drawn_world_features, frechet_distance, kernel_distance
from imagen_model.drawn_world import chinese, english
from imagen_model.drawn_world.captions import caption, tokens, vocabulary
from imagen_model.drawn_world.checker import read_things
from imagen_model.drawn_world.drawing import draw
from imagen_model.drawn_world.exam import CATEGORIES, questions
from imagen_model.drawn_world.kinds import KINDS, OUTLINES, SYMMETRIC
from imagen_model.drawn_world.palette import BACKGROUNDS_OF, COLOURS
from imagen_model.drawn_world.scene import (
    HELD_OUT_KIND_PAIRS,
    HELD_OUT_LOOKS,
    HELD_OUT_WEATHER,
    PLACES,
    STYLES,
    Still,
    Thing,
    View,
    held_out,
)
from imagen_model.drawn_world.scenery import read_view
from imagen_model.drawn_world.sprites import silhouette
from imagen_model.drawn_world.tokenizer import bilingual_tokenizer
from imagen_model.drawn_world.worlds import random_scene
from imagen_model.exam import score, shuffled, wilson
from imagen_model.worlds import find_world

SUNSET = "A beautiful sunset over a tropical beach with palm trees."
SUNSET_CHINESE = "热带海滩上美丽的日落，还有棕榈树。"


@pytest.fixture(scope="module")
def words() -> list[str]:
    return vocabulary()


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("held", [False, True])
def test_the_scale_has_two_ends(category: str, held: bool) -> None:
    asked = questions(category, 8, 1, held)
    assert all(held_out(one.scene) == held for one in asked)
    truth = find_world("drawn_world").draw_answers(asked, 64)
    assert score(category, asked, truth).right == 8
    small = find_world("drawn_world").draw_answers(asked, 32)
    enlarged = [image.resize((256, 256), Image.Resampling.BICUBIC) for image in small]
    assert score(category, asked, enlarged).right >= 6
    assert score(category, asked, shuffled(truth)).right <= 2
    assert score(category, asked, [None] * len(asked)).right == 0


def test_a_scene_is_the_same_bytes_again_and_the_same_scene_at_any_size() -> None:
    rng = random.Random(2)
    for scene in [random_scene(rng) for _ in range(25)]:
        small, large = draw(scene, 32), draw(scene, 128)
        assert draw(scene, 32).tobytes() == small.tobytes()
        averaged = large.astype(float).reshape(32, 4, 32, 4, 3).mean((1, 3))
        assert np.abs(averaged - small).mean() < 3.5
    assert draw(scene, 16).shape == (16, 16, 3) and draw(scene, 48).shape == (48, 48, 3)
    for side in (8, 100, 1040):
        with pytest.raises(ValueError, match=f"multiple of 16 from 16 to 1024, got {side}"):
            draw(scene, side)


def test_every_kind_and_style_is_read_back() -> None:
    for index, kind in enumerate(KINDS):
        colour = tuple(COLOURS)[index % len(COLOURS)]
        background = BACKGROUNDS_OF[colour][index % len(BACKGROUNDS_OF[colour])]
        style = STYLES[index % 3]
        thing = Thing(kind, colour, 5, 8, 14, kind not in SYMMETRIC)
        (seen,) = read_things(draw(Still(background, (thing,), style, index), 64))
        assert (seen.kind, seen.colour, seen.style) == (kind, colour, style)
        assert abs(seen.x - 12) < 1 and abs(seen.y - 15) < 1 and abs(seen.size - 14) < 1.5


def test_no_two_kinds_have_the_same_silhouette() -> None:
    looks = [(kind, turned) for kind in KINDS for turned in ((False,) if kind in SYMMETRIC else (False, True))]
    for side in (12, 24):
        masks = np.stack([silhouette(kind, side, turned).ravel() for kind, turned in looks])
        for index, (kind, _) in enumerate(looks):
            shared = np.minimum(masks, masks[index]).sum(-1)
            overlap = shared / np.maximum(masks, masks[index]).sum(-1)
            worst = max(value for value, (other, _) in zip(overlap, looks, strict=True) if other != kind)
            assert worst < 0.87, kind
    for kind in SYMMETRIC:
        assert np.abs(silhouette(kind, 24) - silhouette(kind, 24)[:, ::-1]).mean() < 0.03, kind
    assert len(OUTLINES) >= 30


def test_what_is_held_out_is_never_drawn() -> None:
    rng = random.Random(11)
    seen: Counter[str] = Counter()
    for _ in range(20_000):
        scene = random_scene(rng)
        things = scene.things
        assert not any(thing.look in HELD_OUT_LOOKS for thing in things)
        assert not any(
            frozenset((a.kind, b.kind)) in HELD_OUT_KIND_PAIRS for a in things for b in things if a.kind != b.kind
        )
        if isinstance(scene, View):
            assert (scene.place, scene.weather) not in HELD_OUT_WEATHER
            seen[scene.place] += 1
        seen.update(thing.kind for thing in things)
    assert set(seen) >= {*KINDS, *PLACES}
    assert {kind for _, kind in HELD_OUT_LOOKS} == set(KINDS) and {colour for colour, _ in HELD_OUT_LOOKS} == set(
        COLOURS
    )


def test_english_captions_are_true() -> None:
    things = (Thing("cat", "red", 2, 9, 12), Thing("car", "blue", 18, 10, 12))
    scene = Still("white", things, "crayon")
    said = {english.caption(scene, random.Random(seed)).lower() for seed in range(500)}
    assert len(said) > 150
    for text in said:
        cat, car = (min(text.find(w) % 999 for w in pair) for pair in (("cat", "kitty"), ("car ", "car.", "car,")))
        car = car if car < 999 - 1 else len(text)
        if "left of" in text or "on the left and" in text:
            assert cat < car, text
        if "right of" in text or "on the right and" in text:
            assert cat > car, text
        named = set(re.findall(r"red|blue|green|yellow|black|above|below|under|ink|flat|night", text))
        assert named <= {"red", "blue"}, text


def test_chinese_captions_are_true_and_counted_with_measure_words() -> None:
    three = Still("white", tuple(Thing("flower", "yellow", x, y, 10) for x, y in ((1, 1), (17, 1), (1, 17))))
    said = {chinese.caption(three, random.Random(seed)) for seed in range(300)}
    assert all("三朵" in text and "花" in text for text in said)
    assert any("三朵黄色的花" in text for text in said)
    one = Still("white", (Thing("cat", "red", 9, 9, 14),))
    assert any(text.startswith("一只红色的猫") for text in (chinese.caption(one, random.Random(s)) for s in range(100)))
    cat_and_car = Still("white", (Thing("cat", "red", 2, 9, 12), Thing("car", "blue", 18, 10, 12)))
    for seed in range(300):
        text = chinese.caption(cat_and_car, random.Random(seed))
        if re.search(r"猫咪?在", text):
            assert re.search(r"车的左[边侧]", text), text
        if re.search(r"车在", text):
            assert re.search(r"猫咪?的右[边侧]", text), text


def test_the_sentence_of_the_sunset_belongs_to_both_languages(words: list[str]) -> None:
    beach = View("beach", "sunset", "clear", 0, palms=(3, 14))
    assert SUNSET in {english.caption(beach, random.Random(seed)) for seed in range(20_000)}
    assert SUNSET_CHINESE in {chinese.caption(beach, random.Random(seed)) for seed in range(4000)}
    tokenizer = bilingual_tokenizer(words, 64)
    for text in (SUNSET, SUNSET_CHINESE):
        assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"]
        assert tokenizer.tokenize(text) == tokens(text)


def test_the_vocabulary_holds_every_caption_and_question(words: list[str]) -> None:
    known, rng = set(words), random.Random(99)
    texts = [caption(random_scene(rng), rng) for _ in range(4000)]
    for language in ("english", "chinese"):
        for category in CATEGORIES:
            texts += [one.prompt for one in questions(category, 60, 5, True, language)]
    assert {word for text in texts for word in tokens(text)} <= known
    assert (
        any(text.count(". ") >= 1 for text in texts) and sum(bool(re.search("[一-鿿]", text)) for text in texts) > 1000
    )


def test_a_view_is_read_back_with_the_thing_in_it() -> None:
    boat = View("sea", "sunset", "clear", 2, things=(Thing("boat", "red", 10, 14, 12),))
    seen = read_view(Image.fromarray(draw(boat, 256)))
    assert (seen.place, seen.time, seen.weather, seen.palms) == ("sea", "sunset", "clear", False)
    assert [(thing.kind, thing.colour) for thing in seen.things] == [("boat", "red")]
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    (question,) = questions("scenes", 1, 0, False)
    assert not question.judge(Image.fromarray(noise))["right"]


def test_impossible_scenes_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="leaves the 32x32 picture"):
        Thing("cat", "red", 20, 0, 14)
    with pytest.raises(ValueError, match="palms grow on the beach alone"):
        View("city", "day", "clear", 0, palms=(3,))
    with pytest.raises(ValueError, match="1 to 5 things, got 0"):
        Still("white", ())
    with pytest.raises(ValueError, match="space has no sky"):
        View("space", "day", "clear", 0)


def test_distances_are_those_of_known_gaussians() -> None:
    rng = np.random.default_rng(3)
    first, again = rng.normal(0, 1, (2, 20_000, 3))
    shifted = rng.normal(0, 2, (20_000, 3)) + np.array([3.0, 0.0, 0.0])
    assert frechet_distance(first, again) < 0.01
    # Means 3 apart, and three deviations of 1 and of 2: 9 + 3 * (2 - 1)^2.
    assert abs(frechet_distance(first, shifted) - 12) < 0.3
    assert abs(kernel_distance(first[:1500], again[:1500])) < 0.02
    one, other = rng.normal(0, 1, (2, 1500, 1))
    # E(xy + 1)^3 = 1 + 3 E(xy)^2 for mean 0; with means 0 and m: MMD^2 = 3 m^2 + 6 m^2 + 3 m^4 + (m^3 + 3 m)^2.
    m = 1.0
    expected = 3 * m**2 + 3 * ((1 + m**2) - 1) ** 2 + ((m**3 + 3 * m) - 0) ** 2
    assert abs(kernel_distance(one, other + m) - expected) < 0.15 * expected
    with pytest.raises(ValueError, match="at least, got 1 and 20000"):
        frechet_distance(first[:1], again)
    with pytest.raises(ValueError, match="of one width"):
        kernel_distance(first, again[:, :2])


def test_features_tell_other_pictures_from_the_same_world() -> None:
    rng = random.Random(4)
    pictures = [Image.fromarray(draw(random_scene(rng), 32)) for _ in range(600)]
    features = drawn_world_features(pictures)
    assert features.shape == (600, 176) and np.isfinite(features).all()
    grey = drawn_world_features(image.convert("L").convert("RGB") for image in pictures[:300])
    assert frechet_distance(features[300:], grey) > 3 * frechet_distance(features[300:], features[:300])
    same = kernel_distance(features[300:], features[:300])
    assert kernel_distance(features[300:], grey) > 3 * abs(same)


def test_wilsons_interval() -> None:
    low, high = wilson(8, 10)
    assert (round(low, 3), round(high, 3)) == (0.49, 0.943)
    assert wilson(10, 10)[1] == 1.0
