"""Training on pictures from a disk: each format as it is published, one side held out, exact resume, named mistakes."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from imagen_model import Imagen
from imagen_model.training.data import Batches, Pictures
from imagen_model.training.data_source import DataSource
from imagen_model.training.job import InvalidTrainingJob, TrainingJob, read_training_job
from imagen_model.training.loop import Trainer, train
from imagen_model.training.pictures import PictureSet, picture_set

from .conftest import SMALL_STAGE, TINY

COUNT = 24
COLOURS = [(10 * number, 255 - 10 * number, 40) for number in range(COUNT)]


def picture(number: int, mode: str = "RGB") -> Image.Image:
    """Wider than high, of one colour, so that what is loaded says which picture it was."""
    return Image.new("RGB", (40, 24), COLOURS[number]).convert(mode)


@pytest.fixture
def coco(tmp_path: Path) -> dict[str, object]:
    """As captions_train2017.json and train2017/: two captions a picture, which are not neighbours in the file."""
    folder = tmp_path / "train2017"
    folder.mkdir()
    for number in range(COUNT):
        picture(number).save(folder / f"{number:012d}.png")
    whole = {
        "images": [{"id": 500 + number, "file_name": f"{number:012d}.png"} for number in range(COUNT)],
        "annotations": [
            {"id": again * 100 + number, "image_id": 500 + number, "caption": f"{word} number {number}"}
            for again, word in enumerate(("picture", "colour"))
            for number in range(COUNT)
        ],
    }
    (tmp_path / "captions.json").write_text(json.dumps(whole))
    return {"format": "coco", "captions": str(tmp_path / "captions.json"), "images": str(folder), "held_out": 0.25}


def conceptual_captions(tmp_path: Path) -> dict[str, object]:
    folder = tmp_path / "cc"
    (folder / "deep").mkdir(parents=True)
    lines = []
    for number in range(COUNT):
        # Odd ones by the number of their line, which counts from 1; even ones by a path.
        own = f"deep/{number}.jpg" if number % 2 == 0 else f"{number + 1:09d}.png"
        picture(number).save(folder / own, quality=95)
        lines.append(f"number {number}\t{own if number % 2 == 0 else f'http://example.com/{number}.gif?a=1'}")
    (tmp_path / "cc.tsv").write_text("\n".join(lines) + "\n")
    return {"format": "conceptual-captions", "captions": str(tmp_path / "cc.tsv"), "images": str(folder)}


def webdataset(tmp_path: Path) -> dict[str, object]:
    for shard in range(2):
        with tarfile.open(tmp_path / f"{shard:05d}.tar", "w") as tar:
            for number in range(shard * COUNT // 2, (shard + 1) * COUNT // 2):
                pixels, text = io.BytesIO(), f"number {number}".encode()
                picture(number, "RGBA").save(pixels, "PNG")
                said = (".json", json.dumps({"caption": text.decode()}).encode()) if number % 2 else (".txt", text)
                for ending, content in ((".png", pixels.getvalue()), said):
                    member = tarfile.TarInfo(f"{number % (COUNT // 2):05d}{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return {"format": "webdataset", "shards": str(tmp_path / "*.tar")}


def read_coco_set(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, object]:
    return dict(request.getfixturevalue("coco"))


@pytest.mark.parametrize("make", ["coco", "conceptual-captions", "webdataset"])
def test_each_format_gives_every_picture_with_its_own_captions(
    make: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fields = (
        read_coco_set(tmp_path, request)
        if make == "coco"
        else {"conceptual-captions": conceptual_captions, "webdataset": webdataset}[make](tmp_path)
    )
    found = PictureSet(DataSource.of({**fields, "held_out": 0.25}))
    assert len(found.training) + len(found.held_out) == COUNT and len(found.held_out) > 1
    seen = []
    for one in (*found.training, *found.held_out):
        (number,) = {int(caption.split()[-1]) for caption in one.captions}
        assert len(one.captions) == (2 if make == "coco" else 1)
        pixels = np.asarray(one.load(16).resize((16, 16)), int)
        assert np.abs(pixels - COLOURS[number]).max() <= 3  # of a JPEG
        seen.append(number)
    assert sorted(seen) == list(range(COUNT))


def test_an_epoch_shows_each_picture_once_and_batches_are_functions_of_the_step(coco: dict[str, object]) -> None:
    found = PictureSet(DataSource.of(coco))
    count = len(found.training)
    data = Batches(Pictures(found.training, 16), 3, 1, 16, 3 * count, 0.0, low_side=8)
    shown = [data[step].captions[0].split()[-1] for step in range(2 * count)]
    assert sorted(shown[:count]) == sorted(shown[count:]) and len(set(shown)) == count
    assert shown[:count] != shown[count:]
    again = Batches(Pictures(found.training, 16), 3, 1, 16, 5, 0.0, low_side=8)[4]
    assert again.captions == data[4].captions and torch.equal(again.pictures, data[4].pictures)
    assert again.pictures.shape == (1, 16, 16, 3) and again.low is not None and again.low.shape == (1, 8, 8, 3)


def job(output: Path, data: dict[str, object], **changes: object) -> TrainingJob:
    fields: dict[str, object] = {
        "model": {**TINY, "num_layers": 1},
        "steps": 8,
        "batch_size": 4,
        "warmup_steps": 2,
        "precision": "fp32",
        "validate_every": 8,
        "validation_batches": 1,
        "checkpoint_every": 3,
        "sample_prompts": ("picture number 3",),
    }
    return TrainingJob(output=str(output), data=data, **{**fields, **changes})  # type: ignore[arg-type]


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path, coco: dict[str, object]) -> None:
    whole = Imagen.from_pretrained(train(job(tmp_path / "whole", coco)))
    for _ in range(3):
        picture_set.cache_clear()  # as in a new process
        Trainer(job(tmp_path / "parts", coco)).run(stop_after=3)
    parts = Imagen.from_pretrained(tmp_path / "parts" / "model")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, parts.state_dict()[name]), name
    words = set(whole.tokenizer.get_vocab())
    assert {"picture", "colour", "number"} <= words and "circle" not in words
    # A set that changed meanwhile is another run.
    captions = Path(str(coco["captions"]))
    captions.write_text(captions.read_text().replace("colour number 1", "colour numbers 1"))
    picture_set.cache_clear()
    with pytest.raises(InvalidTrainingJob, match=r"not those that .* began with"):
        Trainer(job(tmp_path / "parts", coco, steps=9))


def test_a_diffusion_stage_learns_from_a_disk_and_long_captions_are_cut(
    tmp_path: Path, coco: dict[str, object]
) -> None:
    captions = Path(str(coco["captions"]))
    captions.write_text(captions.read_text().replace("colour number", "a very " * 40 + "colour number"))
    denoiser = {**SMALL_STAGE, "image_size": 16, "low_resolution_size": None}
    model = {**TINY, "base": "denoising_unet", "denoiser": denoiser, "image_size": 16, "max_text_tokens": 12}
    trainer = Trainer(job(tmp_path / "run", coco, model=model))
    before = trainer.validation_loss()
    trainer.run()
    assert trainer.validation_loss() < before
    training = {one.name for one in picture_set(DataSource.of(coco)).training}
    held_out = trainer.objective.data(1, 5, held_out=True)
    assert not {one.name for one in held_out.source.pictures} & training


def test_what_is_missing_or_damaged_is_named_and_left_out(tmp_path: Path, coco: dict[str, object]) -> None:
    folder = Path(str(coco["images"]))
    (folder / "000000000004.png").unlink()
    with pytest.warns(UserWarning, match=r"2 of 48 captions are left out, the first: .*000000000004.png"):
        found = PictureSet(DataSource.of(coco))
    assert len(found.training) + len(found.held_out) == COUNT - 1
    broken = found.training[0]
    Path(broken.path).write_bytes(b"no picture")
    data = Batches(Pictures(found.training, 16), 3, len(found.training), 16, 1, 0.0)
    with pytest.warns(UserWarning, match=f"{broken.name}.* is left out"):
        batch = data[0]
    assert broken.captions[0].split()[-1] not in {caption.split()[-1] for caption in batch.captions}
    for one in found.training:
        Path(one.path).write_bytes(b"no picture")
    with pytest.raises(InvalidTrainingJob, match="20 pictures one after another"), pytest.warns(UserWarning):
        data[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "csv"}, "format must be one of coco, conceptual-captions, webdataset"),
        ({"images": None}, "coco takes captions and images"),
        ({"shards": "x.tar"}, "coco takes captions and images"),
        ({"held_out": 0}, "held_out must be between 0 and 1"),
        ({"vocabulary": "all"}, "vocabulary must be"),
        ({"pictures": "x"}, "unknown field pictures"),
    ],
)
def test_a_wrong_data_section_is_refused_by_name(
    tmp_path: Path, coco: dict[str, object], changes: dict[str, object], words: str
) -> None:
    fields = {"output": "x", "data": {**coco, **changes}}
    (tmp_path / "job.yaml").write_text(json.dumps(fields))
    with pytest.raises(InvalidTrainingJob, match=words):
        read_training_job(tmp_path / "job.yaml")


def test_a_set_that_cannot_be_read_is_refused_by_name(tmp_path: Path, coco: dict[str, object]) -> None:
    def refused(words: str, **changes: object) -> None:
        with pytest.raises(InvalidTrainingJob, match=words):
            PictureSet(DataSource.of({**coco, **changes}))

    empty = tmp_path / "empty"
    empty.mkdir()
    refused("no file in .*empty", images=str(empty))
    refused("cannot read .*nowhere.json", captions=str(tmp_path / "nowhere.json"))
    refused("leaves none of 24 pictures to validation", held_out=1e-9)
    (tmp_path / "captions.json").write_text("[]")
    refused("no list of `annotations`")
    tars: dict[str, object] = {"format": "webdataset", "captions": None, "images": None}
    refused("no file matches", **tars, shards=str(tmp_path / "*.tar"))
    (tmp_path / "a.tar").write_bytes(b"no tar at all" * 100)
    refused("cannot read .*a.tar as a tar", **tars, shards=str(tmp_path / "*.tar"))


def test_captioners_learn_from_the_drawn_world_alone(coco: dict[str, object]) -> None:
    with pytest.raises(InvalidTrainingJob, match=r"leave .* data out"):
        dataclasses.replace(TrainingJob("x"), data=coco, captioner={})
