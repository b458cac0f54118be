"""Image to text: the bundled captioner in its world, other transformers models, and what goes wrong."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    BertConfig,
    BlipConfig,
    BlipForConditionalGeneration,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
)
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from imagen_model import Imagen
from imagen_model.caption_exam import agreement, drawings, looks_in, object_scenes
from imagen_model.captioner import Captioner
from imagen_model.captioner_source import find_captioner
from imagen_model.catalog import BUNDLED, ModelNotFound, find_model
from imagen_model.illustrations.alt_text import alt_text, looks_of, place_and_time_of, vocabulary
from imagen_model.illustrations.drawing import draw
from imagen_model.illustrations.scene import HELD_OUT, Landscape, ObjectScene
from imagen_model.illustrations.worlds import HELD_OUT_PAIRS, random_scene
from imagen_model.tokenizers import word_tokenizer
from imagen_model.training.captioning import CaptionerSizes, CaptionTrainer, new_captioner
from imagen_model.training.captioning_data import CaptionedDrawings, nameless_colours, without_words
from imagen_model.training.job import InvalidTrainingJob, TrainingJob


@pytest.fixture(scope="module")
def bundled() -> Captioner:
    return Captioner.from_pretrained("imagen-small")


def picture(scene: ObjectScene | Landscape, side: int = 64) -> Image.Image:
    return Image.fromarray(draw(scene, side))


def random_pictures(count: int) -> list[Image.Image]:
    rng = random.Random(3)
    return [picture(random_scene(rng), rng.choice((16, 64, 256))) for _ in range(count)]


def test_alt_texts_say_what_is_drawn_and_are_read_back() -> None:
    rng, words = random.Random(0), {*vocabulary()}
    for _ in range(2000):
        scene = random_scene(rng)
        text = alt_text(scene)
        assert text.endswith(".") and text[0].isupper() and set(text[:-1].split()) <= words
        if isinstance(scene, Landscape):
            assert place_and_time_of(text) == (scene.place, scene.time) and not looks_of(text)
        else:
            assert looks_of(text) == looks_in(scene)
            assert f"{scene.background} background" in text


def test_a_wrong_caption_is_told_from_a_right_one() -> None:
    (scene,) = object_scenes([("red", "heart"), ("blue", "ring")], 1, 0)
    (thing,) = scene.objects
    right = alt_text(scene)
    assert agreement(right, looks_in(scene))["right"]
    wrong = agreement(right.replace(thing.colour, "green"), looks_in(scene))
    assert wrong == {"right": False, "objects": True, "colours": False, "count": True}
    assert not agreement("Something else.", looks_in(scene))["right"]


def test_training_never_shows_what_is_held_out() -> None:
    rng = random.Random(1)
    for _ in range(3000):
        scene = random_scene(rng)
        colours = nameless_colours(scene, rng)
        text = without_words(alt_text(scene), set(colours))
        assert not looks_of(text).keys() & HELD_OUT
        if isinstance(scene, ObjectScene):
            assert text.count("[UNK]") == len({(t.colour, t.shape) for t in scene.objects})
    one, same = (CaptionedDrawings(5, 4, 32, 10)[7] for _ in range(2))
    assert one.texts == same.texts and torch.equal(one.pictures, same.pictures)


def test_the_bundled_captioner_names_drawings_it_has_never_seen(bundled: Captioner) -> None:
    scenes = object_scenes(HELD_OUT_PAIRS, 48, 7)
    for side in (64, 256):
        found = drawings(bundled, "held out", scenes, side)
        assert found.right >= 0.85 * found.count, found


def test_a_caption_does_not_depend_on_its_neighbours(bundled: Captioner) -> None:
    pictures = random_pictures(21)
    together = bundled.caption(pictures)
    assert together[::-1] == bundled.caption(pictures[::-1])
    assert together[5:6] == bundled.caption(pictures[5:6])
    assert together == Captioner.from_pretrained("imagen-small", tile=7).caption(pictures)


def test_a_picture_that_cannot_be_read_fails_alone(bundled: Captioner, tmp_path: Path) -> None:
    good = picture(object_scenes([("red", "square")], 1, 0)[0])
    held = tmp_path / "cut.png"
    Image.effect_noise((64, 64), 50).save(held)
    held.write_bytes(held.read_bytes()[:-900])
    results = bundled.caption([good, Image.open(held), good])
    assert results[0] == results[2] and "red square" in results[0].text
    assert results[1].text == "" and results[1].error_code == "invalid_image" and results[1].error_message


def test_modes_and_transparency(bundled: Captioner) -> None:
    scene = object_scenes([("blue", "cross")], 1, 4)[0]
    opaque = picture(ObjectScene("white", scene.objects))
    cells = np.array(opaque.convert("RGBA"))
    cells[(cells[..., :3] == 250).all(-1)] = (0, 0, 0, 0)
    (expected,) = bundled.caption([opaque])
    assert "blue cross on a white background" in expected.text
    assert bundled.caption([Image.fromarray(cells), opaque.quantize(8)]) == [expected, expected]
    assert bundled.caption([]) == []


def test_the_model_captions_its_own_kind_of_picture() -> None:
    model = Imagen.from_pretrained("imagen-small")
    scene = Landscape("beach", "sunset", 8, (2, 12))
    assert model.caption(picture(scene, 256)) == "A beach with two palm trees at sunset."


def test_a_model_without_a_captioner_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="has no captioner"):
        find_captioner(str(untrained_imagen(tmp_path)))
    with pytest.raises(ModelNotFound, match="no captioner"):
        Imagen.from_pretrained(tmp_path / "imagen").caption(Image.new("RGB", (8, 8)))
    BertConfig(vocab_size=8).save_pretrained(tmp_path / "bert")
    with pytest.raises(ModelNotFound, match="holds a bert"):
        Captioner.from_pretrained(tmp_path / "bert")


def untrained_imagen(folder: Path) -> Path:
    from imagen_model.training.building import build_model

    job = TrainingJob(str(folder), model={"image_size": 8, "hidden_size": 32, "num_heads": 2, "num_layers": 1})
    build_model(job).save_pretrained(folder / "imagen")
    return folder / "imagen"


def test_the_captioner_is_no_part_of_the_models_revision() -> None:
    folder = BUNDLED / "imagen-small"
    assert find_captioner("imagen-small").folder == str(folder / "captioner")
    assert find_captioner("imagen-small").name == "imagen-small"
    assert find_captioner("imagen-small").revision != find_model("imagen-small").revision
    assert sum(path.stat().st_size for path in (folder / "captioner").iterdir()) < 8e6


def tiny(folder: Path, family: str) -> Path:
    """An untrained image-to-text model as transformers saves it."""
    torch.manual_seed(0)
    words = word_tokenizer(["a", "cat", "dog", "on", "mat", "red"], 8)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    if family == "blip":
        text = {"vocab_size": len(words), "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3, "pad_token_id": 0}
        vision = {"image_size": 16, "patch_size": 8}
        config = BlipConfig(text_config=sizes | text | {"encoder_hidden_size": 16}, vision_config=sizes | vision)
        model = BlipForConditionalGeneration(config)
    else:
        decoder = BertConfig(vocab_size=len(words), is_decoder=True, add_cross_attention=True, **sizes)
        both = VisionEncoderDecoderConfig.from_encoder_decoder_configs(
            ViTConfig(image_size=16, patch_size=8, **sizes), decoder
        )
        both.pad_token_id, both.decoder_start_token_id, both.eos_token_id = 0, 2, 3
        model = VisionEncoderDecoderModel(both)
    for part in (model, ViTImageProcessorPil(size={"height": 16, "width": 16}), words):
        part.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["vision-encoder-decoder", "blip"])
def test_any_transformers_image_to_text_folder(tmp_path: Path, family: str) -> None:
    captioner = Captioner.from_pretrained(tiny(tmp_path / family, family), tile=3)
    results = captioner.caption(random_pictures(4))
    assert len(results) == 4 and results == captioner.caption(random_pictures(4))
    assert all(result.text or result.error_code == "caption_failed" for result in results)
    assert results[3:] == captioner.caption(random_pictures(4)[3:])


def test_what_the_model_cannot_do_is_a_result_too(bundled: Captioner, monkeypatch: pytest.MonkeyPatch) -> None:
    """One picture on which the network fails does not take its tile with it."""
    generate = bundled.generate

    def fragile(pixels: torch.Tensor) -> list[str]:
        if (pixels.flatten(1).std(1) == 0).any():
            raise RuntimeError("no contrast")
        return generate(pixels)

    monkeypatch.setattr(bundled, "generate", fragile)
    good = picture(object_scenes([("red", "square")], 1, 0)[0])
    results = bundled.caption([good, Image.new("RGB", (64, 64), "white"), good])
    assert [result.error_code for result in results] == [None, "caption_failed", None]
    assert "no contrast" in (results[1].error_message or "")


SMALL = {"hidden_size": 16, "num_heads": 2, "feed_forward_size": 16, "encoder_layers": 1, "decoder_layers": 1}


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    def trainer(name: str) -> CaptionTrainer:
        job = TrainingJob(
            str(tmp_path / name), captioner=SMALL, steps=4, batch_size=4, threads=1, device="cpu", checkpoint_every=2
        )
        return CaptionTrainer(job)

    whole, first = trainer("whole"), trainer("cut")
    whole.run()
    first.run(stop_after=2)
    resumed = trainer("cut")
    assert resumed.steps_done == 2
    resumed.run()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert len(Captioner.from_pretrained(tmp_path / "cut" / "model").caption(random_pictures(2))) == 2


def test_sizes_that_do_not_fit_are_named() -> None:
    with pytest.raises(InvalidTrainingJob, match="image_size must be a multiple of patch_size, got 32 and 5"):
        CaptionerSizes.of({"patch_size": 5})
    with pytest.raises(InvalidTrainingJob, match="unknown field depth"):
        CaptionerSizes.of({"depth": 5})
    with pytest.raises(InvalidTrainingJob, match="captioner trains no Imagen"):
        TrainingJob("x", captioner={}, start_from="imagen-small")


def test_training_sees_what_the_image_processor_makes() -> None:
    captioner = new_captioner(CaptionerSizes(**SMALL))  # type: ignore[arg-type]
    image = random_pictures(1)[0]
    small = image.resize((32, 32), Image.Resampling.BOX)
    pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 127.5 - 1
    made = captioner.processor(images=image, return_tensors="pt")["pixel_values"][0]
    assert torch.allclose(pixels, made, atol=1e-6)
