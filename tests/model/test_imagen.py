"""Imagen as its users hold it: load, save, generate, score; and the refusals."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, T5Config, T5EncoderModel

from imagen_model import Imagen, ImagenConfig, imagen_generator
from imagen_model.catalog import ModelNotFound, find_model
from imagen_model.decoding import decode
from imagen_model.generation import Failure, GenerationRequest, InvalidRequest, Success
from imagen_model.imagen_generator import ImagenGenerator
from imagen_model.tokenizers import word_tokenizer

from .conftest import TINY


def as_bytes(result: object) -> bytes:
    assert isinstance(result, Success)
    return result.image.tobytes()


def test_a_saved_model_draws_the_same(tiny: Imagen, tiny_folder: Path) -> None:
    loaded = Imagen.from_pretrained(tiny_folder)
    for name, parameter in tiny.state_dict().items():
        assert torch.equal(parameter, loaded.state_dict()[name]), name
    image = loaded.generate_image("a red circle above a blue square", seed=3)
    assert image.size == (128, 128) and image.mode == "RGB"
    assert image.tobytes() == tiny.generate_image("a red circle above a blue square", seed=3).tobytes()


def test_a_picture_is_the_same_in_any_company(tiny: Imagen) -> None:
    """Batch fill, order, neighbours, batch size, guidance and long neighbours: none may change a byte."""
    generator = ImagenGenerator(tiny)
    long_prompt = "a red circle " * 12
    wanted = [
        GenerationRequest("a red circle", 11),
        GenerationRequest("a blue square", 12, guidance_scale=2.0),
        GenerationRequest(long_prompt, 13),
        GenerationRequest("three hearts", 14, temperature=0.7, top_k=3),
    ]
    alone = [as_bytes(generator.generate([request])[0]) for request in wanted]
    assert len(set(alone)) == len(alone)
    others = [GenerationRequest(f"a picture of {n}", n, guidance_scale=1.0 + n % 2) for n in range(21)]
    crowd = [*others[:5], wanted[3], *others[5:14], wanted[0], wanted[2], *others[14:], wanted[1]]
    results = generator.generate(crowd)
    assert generator.tokens.cache_info().misses == 4 + 21 + 1  # every text is counted once, the empty one too
    for request, picture in zip(wanted, alone, strict=True):
        assert as_bytes(results[crowd.index(request)]) == picture
    torch.set_num_threads(2)
    assert as_bytes(generator.generate([wanted[0]])[0]) == alone[0]
    torch.set_num_threads(1)


def test_the_model_runs_on_tiles_of_one_shape_only(tiny: Imagen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another number of rows sums in another order; few draws show it, so the shapes themselves are held."""
    shapes = []

    def watched(*arguments: Any) -> torch.Tensor:
        shapes.append((tuple(arguments[1].shape), tuple(arguments[3].shape)))
        return decode(*arguments)

    monkeypatch.setattr(imagen_generator, "decode", watched)
    generator = ImagenGenerator(tiny)
    request = GenerationRequest("a red circle", 1)
    for count in (1, 5, 8, 11):
        generator.generate([request] * count)
    assert len(shapes) == 5 and len(set(shapes)) == 1


def test_sizes_show_the_same_picture(tiny: Imagen) -> None:
    small = np.asarray(tiny.generate_image("a red circle", width=16, height=16))
    large = np.asarray(tiny.generate_image("a red circle", width=256, height=256))
    assert np.array_equal(np.kron(small, np.ones((16, 16, 1), np.uint8)), large)


def test_guidance_of_one_is_no_guidance(tiny: Imagen) -> None:
    plain = tiny.generate_image("a red circle", seed=1)
    assert plain.tobytes() != tiny.generate_image("a red circle", seed=1, guidance_scale=3.0).tobytes()
    steered = tiny.generate_image("a red circle", seed=1, guidance_scale=3.0, negative_prompt="a black square")
    assert steered.tobytes() != tiny.generate_image("a red circle", seed=1, guidance_scale=3.0).tobytes()


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"width": 100, "height": 100}, "invalid_size", "100x100"),
        ({"num_inference_steps": 5}, "invalid_parameter", "num_inference_steps"),
        ({"guidance_scale": 21.0}, "invalid_parameter", "at most 20"),
        ({"prompt": "circle " * 39}, "prompt_too_long", "41 tokens"),
    ],
)
def test_a_bad_request_fails_alone(tiny: Imagen, changes: dict, code: str, words: str) -> None:
    good = GenerationRequest("a red circle", 1)
    bad = GenerationRequest(**{"prompt": "a red circle", "seed": 1, **changes})
    first, failure, last = ImagenGenerator(tiny).generate([good, bad, good])
    assert isinstance(failure, Failure) and failure.code == code and words in failure.message
    assert as_bytes(first) == as_bytes(last)
    with pytest.raises(InvalidRequest, match=words):
        tiny.generate_images([bad.prompt], seeds=[1], **{k: v for k, v in changes.items() if k != "prompt"})


def test_log_likelihood_is_the_loss_in_bits(tiny: Imagen) -> None:
    image = tiny.generate_image("a red circle", seed=2)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    own, other = tiny.log_likelihood(image, "a red circle"), tiny.log_likelihood(noise, "a red circle")
    assert 0 < own < other, "the model finds noise likelier than what it drew itself"


def test_no_such_model_says_what_there_is() -> None:
    with pytest.raises(ModelNotFound, match="flat-colour"):
        Imagen.from_pretrained("no-such-model")
    with pytest.raises(ModelNotFound, match="nobody/nothing"):
        find_model("nobody/nothing")


def test_a_folder_with_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"neither config\.json nor model_index\.json"):
        find_model(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelNotFound, match="type 'bert', not 'imagen'"):
        find_model(str(tmp_path))


def test_weights_load_strictly(tiny_folder: Path, tmp_path: Path) -> None:
    for kind in ("missing", "mismatched"):
        folder = tmp_path / kind
        Imagen.from_pretrained(tiny_folder).save_pretrained(folder)
        weights = load_file(folder / "model.safetensors")
        if kind == "missing":
            weights.pop("decoder.rows.weight")
        else:
            weights["decoder.rows.weight"] = torch.zeros(3, 3)
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises((ValueError, RuntimeError), match=r"decoder\.rows\.weight"):
            Imagen.from_pretrained(folder)


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_a_borrowed_text_encoder_stays_frozen(family: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = tmp_path / family
    tokenizer = word_tokenizer(["a", "red", "circle"], 64)
    if family == "bert":
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
        )
        encoder: torch.nn.Module = BertModel(config)
    else:
        encoder = T5EncoderModel(
            T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
        )
    encoder.save_pretrained(folder)  # type: ignore[operator]
    tokenizer.save_pretrained(folder)
    fields = {name: value for name, value in TINY.items() if name != "text_config"}
    model = Imagen.with_text_encoder(str(folder), ImagenConfig(**fields))
    before = {name: p.clone() for name, p in model.text_encoder.named_parameters()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    pixels = torch.randint(0, 8, (1, 256, 3))
    ids = torch.tensor([tokenizer("a red circle")["input_ids"]])
    model(ids, torch.ones_like(ids), pixels).loss.backward()
    optimizer.step()
    for name, parameter in model.text_encoder.named_parameters():
        assert torch.equal(before[name], parameter), name
    model.save_pretrained(tmp_path / "saved")
    again = Imagen.from_pretrained(tmp_path / "saved")
    picture = again.generate_image("a red circle", seed=1)
    assert picture.tobytes() == model.eval().generate_image("a red circle", seed=1).tobytes()


def test_impossible_configurations_are_refused() -> None:
    with pytest.raises(Exception, match="multiple of num_heads"):
        ImagenConfig(hidden_size=50, num_heads=4)
    with pytest.raises(Exception, match="levels"):
        ImagenConfig(levels=1000)


def test_the_unpublished_name_warns() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        source = find_model("google/imagen-text-to-image")
    assert source.name == "imagen-small"
    assert any("never published" in str(warning.message) for warning in caught)
