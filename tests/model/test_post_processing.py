"""Post-processing: steps by name, what they do to a picture, and colour for grey pictures."""

from __future__ import annotations

import hashlib
import io
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from imagen_model import Imagen
from imagen_model.decoding import draw_allowed
from imagen_model.flat_colour import FlatColourGenerator
from imagen_model.generation import GenerationRequest, GreyPicture, InvalidRequest, Success
from imagen_model.imagen_generator import ImagenGenerator
from imagen_model.luma import LumaMasks, luma, with_luma
from imagen_model.post_processing import BAND, Denoise, Sharpen, Upscale, finished_size, parse_steps, post_process
from imagen_model.sampling import SamplingParameters


def picture(height: int = 40, width: int = 30) -> Image.Image:
    """Two flat halves under grain."""
    values = np.full((height, width, 3), (200, 60, 40), np.int64)
    values[:, width // 2 :] = (30, 90, 210)
    grain = np.random.default_rng(4).integers(-9, 10, values.shape)
    return Image.fromarray(np.clip(values + grain, 0, 255).astype(np.uint8))


def test_steps_are_read_in_their_order() -> None:
    assert parse_steps(" denoise,sharpen=0.85 , upscale=512x300") == (Denoise(), Sharpen(0.85), Upscale(512, 300))
    assert finished_size("upscale=512x300, denoise", 64, 64) == (512, 300)
    assert finished_size(None, 64, 64) == finished_size("denoise", 64, 64) == (64, 64)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no step ''"),
        ("blur", "the steps are: colorize, denoise, sharpen=AMOUNT, upscale=WIDTHxHEIGHT"),
        ("denoise, sharpen=1, denoise", "denoise is there twice"),
        ("denoise=3", "denoise takes no value, got '3'"),
        ("colorize", "colorize needs a grey picture"),
        ("denoise, colorize", "colorize comes after denoise, which needs its picture; write colorize first"),
        ("colorize=2", "colorize takes no value, got '2'"),
        ("sharpen", "sharpen needs a number from 0 to 5"),
        ("sharpen=nan", "got 'nan'; write sharpen=0.8"),
        ("sharpen=-1", "got '-1'"),
        ("sharpen=5.1", "must be from 0 to 5, got 5.1"),
        ("upscale=512", "got '512'; write upscale=512x512"),
        ("upscale=8193x10", "at most 8192 pixels a side, got 8193x10"),
        ("upscale=0x10", "got '0x10'"),
        ("upscale=100x128", "is smaller than the picture, which has 128x128 pixels"),
    ],
)
def test_what_no_picture_can_go_through_is_refused_with_a_remedy(tiny: Imagen, text: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match="post_processing: ") as refusal:
        tiny.generate_image("a red circle", post_processing=text)
    assert words in refusal.value.message and refusal.value.code == "invalid_parameter"


def test_denoise_takes_the_grain_and_leaves_the_edge() -> None:
    before, after = (np.asarray(image, np.float64) for image in (picture(), post_process(picture(), "denoise")))
    for half in (slice(0, 14), slice(16, 30)):
        assert after[:, half].std(axis=(0, 1)).max() < before[:, half].std(axis=(0, 1)).min() / 2
    assert np.abs(after[:, 14].mean(axis=0) - (200, 60, 40)).max() < 3
    assert np.abs(after[:, 15].mean(axis=0) - (30, 90, 210)).max() < 3


def test_denoise_by_bands_is_denoise_of_the_whole() -> None:
    tall = picture(2 * BAND + 7)
    middle = post_process(tall.crop((0, BAND - 20, 30, BAND + 20)), "denoise")
    assert np.array_equal(np.asarray(post_process(tall, "denoise"))[BAND - 10 : BAND + 10], np.asarray(middle)[10:30])


def test_steps_give_these_bytes_on_every_machine() -> None:
    """`denoise` is whole numbers throughout; if this fails, pictures of old runs can no longer be made again."""
    assert hashlib.sha256(post_process(picture(), "denoise").tobytes()).hexdigest()[:16] == "4057b518c8927c02"
    assert post_process(picture(), "sharpen=0").tobytes() == picture().tobytes()
    sharper = np.asarray(post_process(picture(), "sharpen=1.5"), np.float64)
    assert sharper[:, :13].std() > np.asarray(picture(), np.float64)[:, :13].std()


def test_order_matters_and_a_picture_is_the_same_from_every_generator(tiny: Imagen) -> None:
    steps = "upscale=150x140, sharpen=2"
    plain = GenerationRequest("a red circle", 3)
    finished = GenerationRequest("a red circle", 3, post_processing=steps)
    for generator in (ImagenGenerator(tiny), FlatColourGenerator()):
        one, other = generator.generate([plain, finished])
        assert isinstance(one, Success) and isinstance(other, Success)
        assert other.image.tobytes() == post_process(one.image, steps).tobytes() and other.image.size == (150, 140)
    turned = post_process(picture(), "sharpen=2, upscale=150x140")
    assert turned.tobytes() != post_process(picture(), steps).tobytes()


def test_luma_is_pillows() -> None:
    values = np.random.default_rng(1).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    assert np.array_equal(luma(values), np.asarray(Image.fromarray(values).convert("L")))


@pytest.mark.parametrize("levels", [2, 5, 8])
def test_masks_allow_what_reaches_the_luma_and_nothing_else(levels: int) -> None:
    values = (torch.arange(levels) * 255 + (levels - 1) // 2) // (levels - 1)
    grey = torch.arange(0, 256, 5)
    masks = LumaMasks(grey, values, torch.device("cpu"))
    tolerance = masks.tolerances()
    triples = np.array(list(product(range(levels), repeat=3)))
    lumas = luma(values.numpy()[triples].astype(np.uint8))
    for position, wanted in enumerate(grey.tolist()):
        good = triples[np.abs(lumas - wanted) <= int(tolerance[wanted])]
        allowed = masks(position)
        pair, blue = allowed.blue.nonzero(as_tuple=True)
        found = torch.stack((allowed.red[pair], allowed.green[pair], blue), dim=-1)
        assert len(good) and set(map(tuple, found.tolist())) == set(map(tuple, good.tolist()))
        assert set(pair.tolist()) == set(range(len(allowed.red)))


def test_a_constrained_pixel_is_drawn_from_what_the_model_says_of_allowed_colours(tiny: Imagen) -> None:
    """Against the chances of all 8 * 8 * 8 colours, counted."""
    torch.manual_seed(0)
    head, rows = tiny.decoder.head, 20_000
    state = torch.randn(1, 32)
    values = tiny.level_values()
    allowed = LumaMasks(torch.tensor([120]), values, torch.device("cpu"))(0)
    colours = torch.tensor(list(product(range(8), repeat=3)))
    with torch.no_grad():
        logits = head(state.expand(len(colours), -1), colours)
        drawn = draw_allowed(
            head,
            head.norm(state).expand(rows, -1),
            torch.rand(rows, 3),
            SamplingParameters.of([1.0] * rows, [0] * rows, [1.0] * rows, torch.device("cpu")),
            None,
            allowed,
        )
    chances = logits.log_softmax(-1).gather(-1, colours[..., None]).sum(dim=(1, 2)).exp()
    good = np.abs(luma(values.numpy()[colours].astype(np.uint8)) - 120) <= int(
        LumaMasks(torch.tensor([120]), values, torch.device("cpu")).tolerances()[120]
    )
    wanted = np.where(good, chances.numpy(), 0) / chances.numpy()[good].sum()
    counted = np.bincount((drawn * torch.tensor([64, 8, 1])).sum(dim=1).numpy(), minlength=512) / rows
    assert np.abs(counted - wanted).max() < 0.02 and counted[~good].sum() == 0


def test_another_luma_keeps_the_colour_as_far_as_it_can_exist() -> None:
    values = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    grey = np.random.default_rng(3).integers(0, 256, (64, 64), dtype=np.uint8)
    found = np.asarray(with_luma(Image.fromarray(values), Image.fromarray(grey)))
    assert np.abs(luma(found) - grey).max() <= 1
    same = np.asarray(with_luma(Image.fromarray(values), Image.fromarray(luma(values).astype(np.uint8))))
    # A luma rounded to a whole number: the darkest and the brightest colours can follow it only by paling.
    assert np.abs(same.astype(int) - values).max() <= 5 and np.abs(same.astype(int) - values).mean() < 0.5


def test_a_grey_picture_gets_colours_of_the_prompt_and_keeps_its_luma() -> None:
    model = Imagen.from_pretrained("imagen-small")
    grey = model.generate_image("a red circle on a white background", seed=1, width=16, height=16).convert("L")
    small = np.asarray(model.colorize(grey, "a red circle on a white background", width=16, height=16))
    assert np.abs(luma(small) - np.asarray(grey)).max() <= 7  # as far as 32 levels may be from what they stand for
    dark = np.asarray(grey) < 128
    assert dark.any() and (small[dark][:, 0] > small[dark][:, 2].astype(int) + 50).mean() > 0.8
    large = grey.resize((256, 256), Image.Resampling.BICUBIC)
    coloured = model.colorize(large, "a red circle on a white background", post_processing="upscale=300x300")
    assert coloured.size == (300, 300)
    coloured = model.colorize(large, "a red circle on a white background", seed=2)
    assert np.abs(luma(np.asarray(coloured)) - np.asarray(large)).max() <= 1
    again = model.colorize(large.convert("RGB"), "a red circle on a white background", seed=2)
    assert again.tobytes() == coloured.tobytes()


def test_a_colorized_picture_is_the_same_among_others_and_one_of_several_candidates(tiny: Imagen) -> None:
    generator = ImagenGenerator(tiny)
    greys = [GreyPicture.of(picture(40 + 9 * index, 30)) for index in range(3)]
    asked = [GenerationRequest("a", 3, post_processing="colorize, sharpen=1", grey=grey) for grey in greys]
    asked += [
        GenerationRequest("a", 3),
        GenerationRequest("a", 3, post_processing="colorize", grey=greys[0], best_of=3),
    ]
    together = generator.generate(asked)
    for request, result in zip(asked, together, strict=True):
        (alone,) = ImagenGenerator(tiny).generate([request])
        assert isinstance(alone, Success) and isinstance(result, Success)
        assert alone.image.tobytes() == result.image.tobytes()
    assert len({result.image.tobytes() for result in together if isinstance(result, Success)}) == 5
    with pytest.raises(InvalidRequest, match="no step that takes it; write colorize first"):
        GenerationRequest("a", 1, grey=greys[0])
    with pytest.raises(InvalidRequest, match="colorize is not offered here; it needs a model"):
        FlatColourGenerator.rules.resolve(asked[0])


def encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def test_a_grey_picture_is_read_from_any_picture() -> None:
    values = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    grey = Image.fromarray(values)
    expected = GreyPicture.of(grey).luma
    for image in (grey, grey.convert("RGB"), grey.convert("LA"), Image.fromarray(values.astype(np.uint16) << 8)):
        assert GreyPicture.read(encoded(image, "PNG")).luma == expected
    clear = Image.merge("LA", (grey, Image.new("L", grey.size, 0)))
    assert set(GreyPicture.read(encoded(clear, "PNG")).luma) == {255}  # on white
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: the camera lay on its side
    found = GreyPicture.read(encoded(grey, "PNG", exif=turned))
    assert (found.width, found.height) == (6, 8)
    smaller = GreyPicture.of(grey).at_most(4, 100)
    assert (smaller.width, smaller.height) == (4, 6) and smaller.luma[0] == round((0 + 5) / 2 + 0.01)
    assert GreyPicture.read(encoded(grey, "PNG")).sha256 == hashlib.sha256(encoded(grey, "PNG")).hexdigest()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no picture", "in none of the formats that are read"),
        (encoded(picture(300, 300), "PNG")[:5000], "cannot be read"),
        (encoded(Image.new("1", (8193, 1)), "PNG"), "has 8193x1 pixels"),
        (encoded(Image.new("F", (4, 4)), "TIFF"), "does not say what white is"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_code(data: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refusal:
        GreyPicture.read(data)
    assert refusal.value.code == "invalid_image"


def test_a_denoising_base_cannot_colorize(denoising: Imagen) -> None:
    with pytest.raises(InvalidRequest, match="pixel_decoder"):
        denoising.colorize(picture(), "a red circle")
