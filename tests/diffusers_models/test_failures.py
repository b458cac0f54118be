"""What a model does to one row reaches no other: raising, NaN, black, held back, out of memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from imagen_model.generation import ErrorCode, Failure, GenerationRequest, Success
from imagen_model.open_models.micro_batch import Crowded, MicroBatch
from imagen_model.open_models.options import ModelOptions
from imagen_model.open_models.running import RunShape
from pipelines.export import export
from pipelines.job import Pool
from pipelines.online.errors import refused
from pipelines.online.replica import Painter, Refusal
from pipelines.progress import Summary
from pipelines.retry import retry_failed
from pipelines.settled_rows import SettledRows
from pipelines.status import read_status
from pipelines.storage import open_store
from pipelines.verify import verify
from pipelines.weights import find_source

from .conftest import rows
from .misbehaving import MisbehavingSource

STEPS = {"num_inference_steps": 2}
pytestmark = pytest.mark.filterwarnings("ignore:.* do not fit into the memory of cpu")


@pytest.fixture
def source(model: Callable[[str], Path]) -> Callable[..., MisbehavingSource]:
    folder = str(model("stable_diffusion"))

    def make(room: int = 10**6, **options: Any) -> MisbehavingSource:
        return MisbehavingSource(folder, find_source(folder).rules, room, ModelOptions(**options))

    return make


def test_rows_fail_alone_and_a_filtered_one_is_no_failure(
    source: Callable[..., MisbehavingSource], table: Callable[..., str], run: Callable[..., Summary], tmp_path: Path
) -> None:
    good = ["a red circle", "a cat", "a hat", "a dog", "a car"]
    plain = table("good.parquet", prompt=good, seed=[1, 2, 3, 4, 5])
    run(plain, tmp_path / "plain", "x", source(micro_batch=3), **STEPS)
    bad = {"BOOM": 1, "a NAN": 2, "BLACK": 3, "NAKED": 4}
    mixed = table(prompt=[good[0], *bad, *good[1:]], seed=[1, 9, 9, 9, 9, 2, 3, 4, 5])
    out = tmp_path / "out"
    summary = run(mixed, out, "x", source(micro_batch=3), batch_size=6, **STEPS)
    assert (summary.succeeded, summary.failed, summary.filtered) == (5, 3, 1)
    found = rows(out)
    assert [row["status"] for row in found] == ["success", "failed", "failed", "failed", "filtered", *["success"] * 4]
    codes = [row["error_code"] for row in found[1:5]]
    assert codes == ["generation_failed"] * 3 + ["content_filtered"]
    for row, words in zip(found[1:5], ("boom", "NaN", "black throughout", "safety checker"), strict=True):
        assert words in row["error_message"] and row["file_name"] is None
    assert [row["sha256"] for row in found if row["sha256"]] == [row["sha256"] for row in rows(tmp_path / "plain")]
    assert verify(str(out)).ok
    status = read_status(str(out))
    assert (status.succeeded, status.failed, status.filtered) == (5, 3, 1)
    assert "| filtered by the model's safety checker | 1 |" in (out / "README.md").read_text()
    copied = export(str(out), "parquet", str(tmp_path / "copy"))
    assert (copied.images, copied.failed) == (5, 4) and verify(str(tmp_path / "copy")).ok

    again = retry_failed(str(out), pool=Pool(workers=1), source=source(micro_batch=3))
    assert again.made_images == 3 and [row["attempts"] for row in rows(out)][1:5] == [2, 2, 2, 1]
    again = retry_failed(str(out), [ErrorCode.CONTENT_FILTERED], pool=Pool(workers=1), source=source(micro_batch=3))
    assert again.made_images == 1 and rows(out)[4]["attempts"] == 2 and rows(out)[4]["status"] == "filtered"


def test_a_server_tells_what_was_filtered_as_openai_does(source: Callable[..., MisbehavingSource]) -> None:
    generator = source().load()
    (result,) = generator.generate([GenerationRequest("NAKED", 1, **STEPS)])
    assert isinstance(result, Failure) and result.code == ErrorCode.CONTENT_FILTERED
    error = refused(result.code.value, result.message)
    assert (error.status, error.code) == (400, "content_policy_violation")


def test_out_of_memory_halves_the_micro_batch_once(
    source: Callable[..., MisbehavingSource], table: Callable[..., str], run: Callable[..., Summary], tmp_path: Path
) -> None:
    prompts = table(prompt=[f"picture {number}" for number in range(11)])
    run(prompts, tmp_path / "out", "x", source(room=2, micro_batch=8), limit=5, **STEPS)
    # The run goes on where there is more room, with what was settled on.
    summary = run(prompts, tmp_path / "out", "x", source(room=8, micro_batch=8), **STEPS)
    assert (summary.succeeded, summary.failed, summary.shards_made < summary.shards) == (11, 0, True)
    run(prompts, tmp_path / "two", "x", source(micro_batch=2), **STEPS)
    assert [row["sha256"] for row in rows(tmp_path / "out")] == [row["sha256"] for row in rows(tmp_path / "two")]
    generator = source(room=2, micro_batch=8).load()
    generator.generate([GenerationRequest("a", 1, **STEPS)])
    assert generator.group_size(generator.group_key(generator.rules.resolve(GenerationRequest("a", 1)))) == 2


def test_rows_that_no_longer_fit_say_what_helps(source: Callable[..., MisbehavingSource]) -> None:
    generator: Any = source(micro_batch=4).load()
    request = GenerationRequest("a", 1, **STEPS)
    assert isinstance(generator.generate([request])[0], Success)
    generator.stages[0].pipeline.room = 2
    first, second = generator.generate([request, request])
    assert isinstance(first, Failure) and isinstance(second, Failure)
    assert first.code == ErrorCode.OUT_OF_MEMORY and "--micro-batch 2" in first.message


def test_a_row_that_never_fits_fails_with_its_code(
    source: Callable[..., MisbehavingSource], table: Callable[..., str], run: Callable[..., Summary], tmp_path: Path
) -> None:
    run(table(prompt=["a", "b"]), tmp_path / "out", "x", source(room=0), **STEPS)
    assert [row["error_code"] for row in rows(tmp_path / "out")] == ["out_of_memory"] * 2


def shape(side: int = 16, guidance: float = 1.0, steps: int = 2) -> RunShape:
    return RunShape(side, side, steps, guidance, negative=False)


class Card:
    """Draws seeds on up to `room` rows, and notes how many it ran on."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.widths: list[int] = []

    def draw(self, filled: list[GenerationRequest]) -> list[int]:
        if len(filled) > self.room:
            raise torch.OutOfMemoryError("taken")
        self.widths.append(len(filled))
        return [request.seed for request in filled]


def test_a_size_that_fitted_once_keeps_its_micro_batch() -> None:
    """Memory that somebody else takes must not change the bits of later rows."""
    requests = [GenerationRequest(f"{number}", number) for number in range(6)]
    card, settled = Card(), MicroBatch(ModelOptions(micro_batch=4), torch.device("cpu"))
    assert settled.run(requests[:2], shape(), card.draw) == [0, 1]
    card.room = 2
    with pytest.raises(Crowded, match=r"4 rows of 16x16 pixels fitted .* or run the job anew with --micro-batch 2"):
        settled.run(requests, shape(steps=9), card.draw)
    assert settled.rows(shape()) == 4 and card.widths == [4]
    with pytest.warns(UserWarning, match="4 rows of 8x8 pixels do not fit .* --micro-batch 2 holds that"):
        assert settled.run(requests, shape(8), card.draw) == [0, 1, 2, 3, 4, 5]  # another size has not settled
    assert settled.rows(shape(8)) == 2 and card.widths == [4, 2, 2, 2]


def test_of_two_that_halve_at_once_the_first_counts(tmp_path: Path) -> None:
    """The second found four rows to fit, but the first had said two when it came to write that down."""
    requests = [GenerationRequest(f"{number}", number) for number in range(6)]
    notes = SettledRows(open_store(str(tmp_path)))
    cards = Card(2), Card(4), Card(8)
    first, second, later = (MicroBatch(ModelOptions(micro_batch=8), torch.device("cpu")) for _ in cards)
    for settled in (first, second, later):
        settled.notes = notes
    assert second.rows(shape()) == 8  # it has looked, and nothing was there
    for settled, card in zip((first, second, later), cards, strict=True):
        assert settled.run(requests, shape(), card.draw) == [0, 1, 2, 3, 4, 5] and settled.rows(shape()) == 2
    assert [card.widths for card in cards] == [[2, 2, 2], [4, 2, 2, 2], [2, 2, 2]]
    assert later.rows(shape(8)) == 8


@pytest.mark.parametrize("order", [(1.0, 7.5), (7.5, 1.0)])
def test_what_guidance_needs_decides_nothing_for_rows_without(order: tuple[float, float]) -> None:
    """A card holds eight rows; classifier-free guidance computes each twice. Whichever comes first, each kind of row
    ends on the number that fits it."""
    card, settled = Card(8), MicroBatch(ModelOptions(micro_batch=8), torch.device("cpu"))
    for guidance in order:
        weight = 2 if guidance > 1 else 1
        settled.run([GenerationRequest("a", 1)], shape(guidance=guidance), lambda rows, n=weight: card.draw(rows * n))
    assert settled.rows(shape(guidance=1.0)) == 8 and settled.rows(shape(guidance=7.5)) == 4
    assert settled.rows(shape(guidance=3.0, steps=50)) == 4


def test_fast_halves_whenever_it_helps_and_fills_nothing_up() -> None:
    requests = [GenerationRequest(f"{number}", number) for number in range(6)]
    card, settled = Card(), MicroBatch(ModelOptions(micro_batch=4, fast=True), torch.device("cpu"))
    assert settled.run(requests[:3], shape(), card.draw) == [0, 1, 2]
    card.room = 2
    assert settled.run(requests, shape(), card.draw) == [0, 1, 2, 3, 4, 5]
    assert settled.rows(shape()) == 2 and card.widths == [3, 2, 2, 2]


def test_a_failing_request_leaves_its_batch_online(source: Callable[..., MisbehavingSource]) -> None:
    from pipelines.encoding import Encoder
    from pipelines.online.replica import Job

    async def ask() -> list[Any]:
        painter = Painter(source(micro_batch=4).load(), None, 64)
        jobs = [Job((GenerationRequest(text, 3, **STEPS),), Encoder("png"), 60.0) for text in ("a", "BOOM", "NAN", "b")]
        try:
            return list(await asyncio.gather(*(painter.paint(job) for job in jobs)))
        finally:
            await painter.close()

    first, boom, nan, last = asyncio.run(ask())
    assert isinstance(boom, Refusal) and isinstance(nan, Refusal) and {boom.code, nan.code} == {"generation_failed"}
    (alone,) = source(micro_batch=4).load().generate([GenerationRequest("a", 3, **STEPS)])
    assert isinstance(alone, Success) and Encoder("png").encode(alone.image) == first[0].data and last[0].data
