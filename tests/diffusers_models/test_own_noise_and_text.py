"""Nothing of a row comes from its neighbours or from torch's own generator: noise between steps, texts in a batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.kolors import ChatGLMModel
from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig

from imagen_model.catalog import ModelNotFound, find_model
from imagen_model.generation import GenerationRequest
from imagen_model.open_models.calibration import measure
from imagen_model.open_models.call_form import BATCHED
from imagen_model.open_models.options import ModelOptions
from imagen_model.open_models.rules import read_model
from imagen_model.open_models.signature import pads_to_longest
from imagen_model.open_models.text_cache import RowCache

from .tiny import FAMILIES

REQUESTS = [
    GenerationRequest(prompt, seed, num_inference_steps=3, width=32, height=32)
    for prompt, seed in (("a cat", 1), ("three blue squares, drawn with a pencil", 2), ("a red circle", 3))
]


def pictures(folder: Path, requests: list[GenerationRequest], options: ModelOptions) -> list[bytes]:
    results = find_model(str(folder), options).load(device="cpu").generate(requests)
    return [result.image.tobytes() for result in results]


@pytest.mark.parametrize("family", ["flux", "stable_diffusion_3"])
def test_noise_between_steps_is_the_rows_own(family: str, model: Callable[[str], Path]) -> None:
    """Neither pipeline hands its generators to the scheduler, and this one draws noise at every step."""
    options = ModelOptions(scheduler="FlowMatchLCMScheduler", micro_batch=2)
    torch.manual_seed(1)
    first = pictures(model(family), REQUESTS, options)
    torch.manual_seed(2)
    again = pictures(model(family), REQUESTS[::-1], options)
    assert first == again[::-1] and len(set(first)) == 3


def test_a_model_whose_own_scheduler_draws_noise(copy: Callable[..., Path]) -> None:
    folder = copy("flux")
    plain = pictures(folder, REQUESTS[:1], ModelOptions())
    config = folder / "scheduler/scheduler_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"stochastic_sampling": True}))
    drawn = [pictures(folder, REQUESTS[:1], ModelOptions()) for _ in range(2)]
    assert drawn[0] == drawn[1] != plain


def test_a_model_whose_own_scheduler_no_seed_reaches(copy: Callable[..., Path]) -> None:
    folder = copy()
    for file, key in (("scheduler/scheduler_config.json", "_class_name"), ("model_index.json", "scheduler")):
        values = json.loads((folder / file).read_text())
        values[key] = "DPMSolverSDEScheduler" if key == "_class_name" else ["diffusers", "DPMSolverSDEScheduler"]
        (folder / file).write_text(json.dumps(values))
    with pytest.raises(ModelNotFound, match="DPMSolverSDEScheduler draws noise that no row's seed decides"):
        find_model(str(folder))
    assert find_model(str(folder), ModelOptions(scheduler="ddim"))


@pytest.mark.parametrize("family", FAMILIES)
def test_neighbours_change_no_picture(family: str, model: Callable[[str], Path]) -> None:
    """Prompts of unequal lengths, two rows to a run: each beside another, then in another order beside others."""
    options = ModelOptions(micro_batch=2)
    requests = [*REQUESTS, GenerationRequest("a", 4, num_inference_steps=3, width=32, height=32)]
    found = pictures(model(family), requests, options)
    order = [2, 0, 3, 1]
    assert pictures(model(family), [requests[n] for n in order], options) == [found[n] for n in order]
    assert len(set(found)) == 4


def test_only_classes_tested_so_run_rows_together(model: Callable[[str], Path], copy: Callable[..., Path]) -> None:
    tested = set()
    for family in FAMILIES:
        tested |= {form.class_name for form in read_model(model(family), family, ModelOptions())[2]}
    assert tested == BATCHED
    folder = copy()
    index = json.loads((folder / "model_index.json").read_text()) | {"_class_name": "StableDiffusionPAGPipeline"}
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelNotFound, match="StableDiffusionPAGPipeline are run one by one"):
        find_model(str(folder), ModelOptions(micro_batch=2))
    generator = find_model(str(folder), ModelOptions(micro_batch="auto")).load(device="cpu")
    assert [one.rows for one in measure(generator, 16, 16)] == [1]


def test_padding_to_the_longest_is_found_however_it_is_written() -> None:
    """Qwen-Image says `True`, CogView4 "longest", GLM-Image decides by the batch; FLUX only counts what it cut off."""
    names = ["QwenImagePipeline", "CogView4Pipeline", "GlmImagePipeline", "FluxPipeline"]
    assert [pads_to_longest(name) for name in names] == [True, True, True, False]


def test_text_states_whose_rows_are_the_second_dimension() -> None:
    """Those of Kolors: (tokens, rows, width)."""
    torch.manual_seed(0)
    config = ChatGLMConfig(
        num_layers=1, padded_vocab_size=32, hidden_size=16, ffn_hidden_size=16, kv_channels=8, num_attention_heads=2,
        seq_length=8, multi_query_attention=True, multi_query_group_num=1, add_bias_linear=False,
        original_rope=True,
    )  # fmt: skip
    encoder = ChatGLMModel(config, empty_init=False).eval()
    for weights in encoder.parameters():  # its constructor leaves them as the memory was
        torch.nn.init.normal_(weights, std=0.1)
    ids = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8], [9, 1, 2, 3]])
    given = {"position_ids": torch.arange(4).repeat(3, 1), "output_hidden_states": True}
    with torch.inference_mode():
        expected = encoder(input_ids=ids, **given)
        RowCache(encoder)
        found = encoder(input_ids=ids, **given)
    assert found.last_hidden_state.shape == expected.last_hidden_state.shape == (4, 3, 16)
    for ours, theirs in zip(found.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(ours, theirs)
