"""Best of n: candidates are plain pictures, the likeliest is kept, and nobody's neighbours matter."""

from __future__ import annotations

import copy
import math
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from imagen_model import Imagen
from imagen_model.best_of import ClipJudge, Judge, candidate_seed
from imagen_model.caption_judge import CaptionJudge
from imagen_model.captioner import Captioner
from imagen_model.catalog import ModelNotFound, find_model
from imagen_model.clip import Clip
from imagen_model.flat_colour import RULES
from imagen_model.generation import GenerationRequest, InvalidRequest, Success
from imagen_model.illustrations import alt_text
from imagen_model.imagen_generator import ImagenGenerator
from imagen_model.teller import Teller
from imagen_model.text import tokenize

from .clip_folder import write_clip


def as_bytes(result: object) -> bytes:
    assert isinstance(result, Success)
    return result.image.tobytes()


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_what_is_kept_is_the_likeliest_of_plain_pictures(tiny: Imagen, guidance: float) -> None:
    size = {"width": 16, "height": 16, "guidance_scale": guidance}
    plain = [tiny.generate_image("a red circle", seed=candidate_seed(5, number), **size) for number in range(5)]
    assert len({image.tobytes() for image in plain}) == 5
    bits = [tiny.log_likelihood(image, "a red circle") for image in plain]
    kept = tiny.generate_image("a red circle", seed=5, best_of=5, **size)
    assert kept.tobytes() == plain[bits.index(min(bits))].tobytes()
    assert tiny.generate_image("a red circle", seed=5, best_of=1, **size).tobytes() == plain[0].tobytes()


def test_the_winner_goes_through_the_stages_as_its_own_seed_does(cascade: Imagen) -> None:
    plain = {cascade.generate_image("a red circle", seed=candidate_seed(3, n)).tobytes() for n in range(3)}
    assert cascade.generate_image("a red circle", seed=3, best_of=3).tobytes() in plain


def test_a_picture_is_the_same_in_any_company(tiny: Imagen) -> None:
    generator = ImagenGenerator(tiny)
    wanted = [
        GenerationRequest("a red circle", 1, best_of=4),
        GenerationRequest("a blue square", 2, best_of=16),
        GenerationRequest("three hearts", 3, best_of=3, guidance_scale=2.0),
    ]
    alone = [as_bytes(generator.generate([request])[0]) for request in wanted]
    others = [GenerationRequest(f"a picture of {n}", n, best_of=1 + n % 4) for n in range(7)]
    results = generator.generate([*others[:3], *wanted, *others[3:]])
    assert [as_bytes(result) for result in results[3:6]] == alone


def test_seeds_of_candidates_are_the_requests_alone() -> None:
    assert candidate_seed(7, 0) == 7
    assert [candidate_seed(7, number) for number in (1, 2)] == [765388891, 1438463683]
    assert len({candidate_seed(seed, number) for seed in range(100) for number in range(16)}) == 1600


@pytest.mark.parametrize("base", ["pixel_decoder", "denoising_unet"])
def test_a_clip_in_the_models_folder_chooses(base: str, tiny: Imagen, denoising: Imagen, tmp_path: Path) -> None:
    model = copy.deepcopy({"pixel_decoder": tiny, "denoising_unet": denoising}[base])
    clip = Clip.from_pretrained(write_clip(tmp_path / "clip"), "cpu")
    prompt, size = "a red circle", {"width": 16, "height": 16}
    plain = [model.generate_image(prompt, seed=candidate_seed(5, number), **size) for number in range(4)]
    scores = [float(clip.cosines([image], [prompt])) for image in plain]
    judged_best(model, ClipJudge(clip), prompt, plain[scores.index(max(scores))], tmp_path, "clip")


@pytest.mark.parametrize("base", ["pixel_decoder", "denoising_unet"])
def test_a_captioner_and_a_teller_choose(base: str, tiny: Imagen, denoising: Imagen, tmp_path: Path) -> None:
    model = copy.deepcopy({"pixel_decoder": tiny, "denoising_unet": denoising}[base])
    prompt, size = "a red circle", {"width": 16, "height": 16}
    plain = [model.generate_image(prompt, seed=candidate_seed(5, number), **size) for number in range(4)]
    torch.manual_seed(0)
    captioner = Captioner.from_pretrained("imagen-small", device="cpu")
    teller = Teller(sorted({word.lower() for word in alt_text.vocabulary()}), 24, model.text_size).eval()
    with torch.no_grad():  # untrained, but far from finding all sentences equally likely
        teller.out.weight.mul_(20)
    ids, mask = tokenize(model.tokenizer, [prompt], 32, 32)
    with torch.inference_mode():
        states = model.text_states(ids, mask)
    read = [one.text for one in captioner.caption(plain)]
    assert len(set(read)) > 1
    scores = [teller.log_probability(text, states, mask) for text in read]
    if base == "pixel_decoder":  # tells pictures apart that read the same
        bits = [model.log_likelihood(image, prompt) for image in plain]
        scores = [score - 0.1 * math.log(2) * 3 * 256 * one for score, one in zip(scores, bits, strict=True)]
    judge = CaptionJudge(captioner, teller)
    judged_best(model, judge, prompt, plain[scores.index(max(scores))], tmp_path, "teller")


def judged_best(model: Imagen, judge: Judge, prompt: str, best: Image.Image, tmp_path: Path, part: str) -> None:
    """Saved and loaded with its judge the model keeps that of four candidates; without the judge's `part` of the folder
    it is not loaded."""
    without = find_model(str(save(model, tmp_path / "without")))
    model.judge_by(judge)
    folder = save(model, tmp_path / "with")
    there = find_model(str(folder))
    assert there.revision != without.revision and there.rules.defaults["best_of"] == 1
    size = {"width": best.width, "height": best.height}
    kept = [GenerationRequest(prompt, 5, best_of=4, **size), GenerationRequest("a blue square", 1, best_of=2, **size)]
    for requests in (kept, kept[::-1]):  # whatever the company
        results = there.load(device="cpu").generate(requests)
        assert as_bytes(results[requests.index(kept[0])]) == best.tobytes()
    shutil.rmtree(folder / part)
    with pytest.raises(ModelNotFound, match=rf"{part} has no config\.json"):
        there.load(device="cpu")


def save(model: Imagen, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def test_models_that_cannot_score_say_so(denoising: Imagen) -> None:
    for rules in (RULES, ImagenGenerator(denoising).rules):
        with pytest.raises(InvalidRequest, match="no parameter best_of; leave it out"):
            rules.resolve(GenerationRequest("a red circle", 1, best_of=2))
    with pytest.raises(InvalidRequest, match="best_of must be from 1 to 16, got 17"):
        GenerationRequest("a red circle", 1, best_of=17)
