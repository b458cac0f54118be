"""The pixel decoder: causal, cached without a difference, and a proper distribution."""

from __future__ import annotations

import pytest
import torch

from imagen_model import Imagen
from imagen_model.decoding import decode, decode_without_cache
from imagen_model.sampling import SamplingParameters, draw, uniforms
from imagen_model.text import tokenize
from imagen_model.training.building import build_model
from imagen_model.training.job import TrainingJob

from .conftest import TINY


def plain(rows: int) -> SamplingParameters:
    return SamplingParameters.of([1.0] * rows, [0] * rows, [1.0] * rows, torch.device("cpu"))


@torch.no_grad()
def test_no_value_sees_itself_or_a_later_one(tiny: Imagen) -> None:
    torch.manual_seed(0)
    text, mask = torch.randn(1, 5, 32), torch.ones(1, 5, dtype=torch.bool)
    values = torch.randint(0, 8, (1, 256, 3))
    before = tiny.decoder(values, text, mask)
    for position, channel in ((0, 0), (100, 1), (100, 2), (255, 0)):
        changed = values.clone()
        changed[0, position, channel] = (changed[0, position, channel] + 3) % 8
        after = tiny.decoder(changed, text, mask)
        difference = (after - before).abs().amax(-1).flatten()
        place = position * 3 + channel
        assert difference[: place + 1].max() == 0, "a value changed the distribution of itself or of one before it"
        if place < 767:
            assert difference[place + 1 :].max() > 0, "a value is not seen by any later one"


@torch.no_grad()
def test_cache_draws_what_the_recomputed_prefix_draws() -> None:
    tiny = build_model(TrainingJob(output="unused", model={**TINY, "image_size": 8})).eval()
    ids, mask = tokenize(tiny.tokenizer, ["a red circle", "two blue squares on a gray background"], 40, 40)
    text = tiny.encode_text(ids, mask)
    uniform = uniforms([1, 2], 192).view(2, 64, 3)
    cached = decode(tiny.decoder, text, mask, uniform, plain(2))
    recomputed = decode_without_cache(tiny.decoder, text, mask, uniform, plain(2))
    # Sums are taken in another order, so a draw at the very edge between two levels may fall to the other.
    assert (cached == recomputed).float().mean() > 0.99


@torch.no_grad()
def test_text_changes_the_distribution_and_padding_does_not(tiny: Imagen) -> None:
    values = torch.randint(0, 8, (1, 256, 3))
    outputs = []
    for prompt, length in (("a red circle", 5), ("a red circle", 40), ("a blue square", 5)):
        ids, mask = tokenize(tiny.tokenizer, [prompt], length, 40)
        outputs.append(tiny(ids, mask, values).logits)
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-4)
    assert (outputs[0] - outputs[2]).abs().max() > 1e-3


def test_draws_follow_the_distribution() -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    rows = 20_000
    drawn = draw(probabilities.log().expand(rows, -1), torch.rand(rows, 1), plain(rows))
    shares = torch.bincount(drawn, minlength=4) / rows
    torch.testing.assert_close(shares, probabilities, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "possible"),
    [(1.0, 0, 1.0, {0, 1, 2, 3}), (1.0, 2, 1.0, {1, 3}), (1.0, 0, 0.7, {1, 3}), (0.0, 0, 1.0, {3}), (1.0, 1, 0.5, {3})],
)
def test_each_row_samples_with_its_own_parameters(temperature: float, top_k: int, top_p: float, possible: set) -> None:
    logits = torch.tensor([0.05, 0.3, 0.15, 0.5]).log().expand(2000, -1)
    torch.manual_seed(0)
    own = SamplingParameters.of(
        [1.0, *[temperature] * 1999], [0, *[top_k] * 1999], [1.0, *[top_p] * 1999], torch.device("cpu")
    )
    drawn = draw(logits, torch.rand(2000, 1), own)
    assert set(drawn[1:].tolist()) == possible


def test_uniforms_belong_to_the_seed() -> None:
    together = uniforms([7, 8, 9], 100)
    assert torch.equal(together[1], uniforms([8], 100)[0])
    assert not torch.equal(together[0], together[1])
    assert together.min() >= 0 and together.max() < 1
