"""Tokenizers as PixArt's and DeepFloyd IF's folders are published: a sentencepiece model, and no tokenizer.json."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
import sentencepiece

from imagen_model.catalog import ModelNotFound, find_model
from imagen_model.generation import GenerationRequest, Success
from imagen_model.open_models.options import ModelOptions

SENTENCES = ["a red circle", "three blue squares", "a cat drawn with a pencil", "two birds on a green field"] * 20


@pytest.fixture
def published(copy: Callable[..., Path]) -> Path:
    folder = copy("pixart")
    shutil.rmtree(folder / "tokenizer")
    (folder / "tokenizer").mkdir()
    model = BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES), model_writer=model, vocab_size=40, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    (folder / "tokenizer/spiece.model").write_bytes(model.getvalue())
    config = {
        "tokenizer_class": "T5Tokenizer",
        "model_max_length": 512,
        "extra_ids": 0,
        "additional_special_tokens": [],
    }
    (folder / "tokenizer/tokenizer_config.json").write_text(json.dumps(config))
    index = json.loads((folder / "model_index.json").read_text()) | {"tokenizer": ["transformers", "T5Tokenizer"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def test_a_sentencepiece_tokenizer_reads_prompts(published: Path) -> None:
    generator = find_model(str(published), ModelOptions(micro_batch=2)).load(device="cpu")
    texts = ["a red circle", "three blue squares"]
    found = generator.generate([GenerationRequest(text, 1, num_inference_steps=1) for text in texts])
    assert all(isinstance(one, Success) for one in found)
    assert len({one.image.tobytes() for one in found}) == 2


def test_without_sentencepiece_the_driver_says_what_to_install(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sentencepiece" else there(name))
    with pytest.raises(ModelNotFound, match=r"read through sentencepiece; .*pip install '\.\[diffusers\]'"):
        find_model(str(published))
