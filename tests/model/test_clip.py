"""CLIP as a judge: a tiny one of transformers' own classes, written here, gives the score that its definition says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from imagen_model.catalog import ModelNotFound
from imagen_model.clip import Clip
from jobs.evaluate import evaluate_command

from .clip_folder import write_clip


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "tiny-clip")


def test_a_score_is_that_of_its_own_pair(clip_folder: Path) -> None:
    clip = Clip.from_pretrained(clip_folder, "cpu")
    images = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "white")]
    texts = ["a red circle", "a blue square", "a " * 40]  # the last is longer than what it reads
    cosines, scores = clip.cosines(images, texts).tolist(), clip.scores(images, texts)
    assert clip.name == "tiny-clip" and len(set(cosines)) == 3
    assert scores == pytest.approx([2.5 * max(cosine, 0) for cosine in cosines])
    # Alone or in a batch, whatever the padding.
    for image, text, cosine in zip(images, texts, cosines, strict=True):
        assert float(clip.cosines([image], [text])) == pytest.approx(cosine, abs=1e-5)
    # As transformers' own logits say: they are the cosine times a factor.
    read = clip.tokenizer(texts[:1], return_tensors="pt")
    pixels = clip.processor(images=images[:1], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        out = clip.model(input_ids=read["input_ids"], attention_mask=read["attention_mask"], pixel_values=pixels)
        assert cosines[0] == pytest.approx(float(out.logits_per_image / clip.model.logit_scale.exp()), abs=1e-5)


def test_what_is_no_clip_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no config\.json"):
        Clip.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelNotFound, match="holds a bert"):
        Clip.from_pretrained(tmp_path)


def test_evaluate_reports_the_score(clip_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate_command("flat-colour", 3, 0, None, "cpu", None, None, clip_folder, None, as_json=True) == 0
    found = json.loads(capsys.readouterr().out)["clip"]
    assert found["name"] == "tiny-clip" and 0 <= found["pictures"] <= 2.5 and 0 <= found["drawings"] <= 2.5
    assert evaluate_command("flat-colour", 3, 0, None, "cpu", None, None, clip_folder, None, as_json=False) == 0
    assert f"by tiny-clip): {found['pictures']:.3f}" in capsys.readouterr().out
