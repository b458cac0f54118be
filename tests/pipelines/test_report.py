"""`report.html`: what stands in it, that it is no part of the dataset, and that it is made again cheaply."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import entries, job, own_files
from generators import TestSource
from PIL import Image

from pipelines.errors import TooManyFailures
from pipelines.export import export
from pipelines.formats import OUTPUT_FORMATS
from pipelines.history import read_history
from pipelines.passes import passes_of
from pipelines.progress import Progress, Summary
from pipelines.report import write_report
from pipelines.report.sprites import ACROSS, BLOCK
from pipelines.report.survey import choose_shown
from pipelines.retry import retry_failed
from pipelines.storage import open_store
from pipelines.verify import verify

Inline = Callable[..., Summary]
EVIL = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\u2028 & \"'"


def page_of(output: Path | str) -> str:
    return Path(output, "report.html").read_text()


def files_of(output: Path | str) -> dict[str, bytes]:
    """The report's files."""
    found = {str(path.relative_to(output)): path.read_bytes() for path in Path(output, ".report").rglob("*.*")}
    return {**found, "report.html": Path(output, "report.html").read_bytes()}


def about_of(output: Path | str) -> dict[str, Any]:
    """What the page tells its script."""
    block = re.search(r'<script type="application/json" id="about">(.*?)</script>', page_of(output), re.DOTALL)
    assert block is not None
    about: dict[str, Any] = json.loads(block[1])
    return about


def rows_of(output: Path | str) -> list[dict[str, Any]]:
    """The gallery's rows, unpacked as `data.js` does it; `place` is (sprite file, column, row) or None."""
    found: list[dict[str, Any]] = []
    for index, key in enumerate(about_of(output)["chunks"]):
        text = Path(output, key).read_text()
        assert text.startswith(f"imagegenChunk({index},") and text.endswith(");\n")
        assert "<" not in text and not {"\u2028", "\u2029"} & set(text)
        chunk = json.loads(text.removeprefix(f"imagegenChunk({index},").removesuffix(");\n"))
        columns = {name: unpacked(packed, chunk["rows"]) for name, packed in chunk["columns"].items()}
        tiles = unpacked(chunk["tile"], chunk["rows"])
        for at, tile in enumerate(tiles):
            sprite = None if tile < 0 else chunk["sprites"][tile // BLOCK]
            place = None if sprite is None else (sprite[0], tile % BLOCK % ACROSS, tile % BLOCK // ACROSS)
            found.append({name: values[at] for name, values in columns.items()} | {"place": place})
    return found


def unpacked(packed: dict[str, Any], rows: int) -> list[Any]:
    if "v" in packed:
        return list(packed["v"])
    if "i" in packed:
        return [packed["d"][place] for place in packed["i"]]
    if "n" in packed:
        return list(range(packed["n"], packed["n"] + rows))
    return [packed["c"]] * rows


@pytest.mark.parametrize("layout", OUTPUT_FORMATS)
def test_every_format_has_the_same_report_beside_the_same_dataset(
    layout: str, table: Callable[..., str], inline: Inline, tmp_path: Path
) -> None:
    prompts = [f"picture {index}" for index in range(90)]
    prompts[1], prompts[70] = EVIL, ""
    sizes, scores = ["64x64", "16x16", "128x128"] * 30, [index / 7 for index in range(90)]
    columns = {"prompt": prompts, "size": sizes, "score": scores}
    plain, reported = tmp_path / layout / "plain", tmp_path / layout / "reported"
    inline(job(table(columns), plain, shard_rows=70, output_format=layout))
    inline(job(table(columns), reported, shard_rows=70, output_format=layout, report=True))

    assert verify(str(reported)).ok
    of_dataset = {key: Path(reported, key).read_bytes() for key in own_files(plain) if not key.startswith("manifest")}
    assert of_dataset == {key: Path(plain, key).read_bytes() for key in of_dataset}
    assert EVIL not in page_of(reported) and "alert(1)" not in page_of(reported).partition('id="about"')[0]
    rows, wanted = rows_of(reported), entries(reported)
    assert [row["prompt"] for row in rows] == [entry["prompt"] for entry in wanted]
    for name in ("row", "seed", "width", "error_code", "score", "bytes"):
        assert [row[name] for row in rows] == [entry[name] for entry in wanted], name
    for row in rows:
        if row["place"] is None:
            assert row["error_code"] == "empty_prompt"
            continue
        digest = hashlib.sha256(f"{row['seed']}:{row['prompt']}".encode()).digest()  # as `flat-colour` paints
        shown = thumbnail(reported, row["place"])
        assert all(abs(one - other) <= 8 for one, other in zip(shown, digest, strict=False)), row["row"]


def thumbnail(output: Path, place: tuple[str, int, int]) -> tuple[int, ...]:
    """The colour amid a thumbnail."""
    name, left, top = place
    with Image.open(output / ".report/sprites" / name) as sheet:
        cell = sheet.width // ACROSS
        colour: tuple[int, ...] = sheet.convert("RGB").getpixel((left * cell + cell // 2, top * cell + cell // 2))  # type: ignore[assignment]
    return colour


def test_a_second_report_draws_only_what_is_new(table: Callable[..., str], inline: Inline, tmp_path: Path) -> None:
    prompts = [f"picture {index}" for index in range(40)]
    prompts[3] = f"FAILS-WITHOUT {tmp_path}/cure"
    path, out = table({"prompt": prompts}), tmp_path / "out"
    inline(job(path, out, shard_rows=10, limit=20))
    assert write_report(str(out)).drawn == 19
    first = files_of(out)
    assert write_report(str(out)).drawn == 0 and files_of(out) == first

    inline(job(path, out, shard_rows=10, limit=40))
    assert write_report(str(out)).drawn == 20
    (tmp_path / "cure").touch()
    retry_failed(str(out), source=TestSource(), report=False)
    assert write_report(str(out)).drawn == 10  # the shard whose row is cured
    assert len(list((out / ".report/sprites").iterdir())) == 4  # the old one is gone
    assert len(rows_of(out)) == 40 and all(row["place"] for row in rows_of(out))
    kinds = [(run.kind, run.outcome, run.images) for run in read_history(open_store(str(out)))]
    assert kinds == [("generate", "complete", 20), ("generate", "complete", 20), ("retry", "complete", 1)]

    sprite = next((out / ".report/sprites").iterdir())
    sprite.write_bytes(b"")  # as a power cut leaves it
    assert write_report(str(out)).drawn == 10 and sprite.stat().st_size


def test_a_run_that_stops_has_a_report(table: Callable[..., str], inline: Inline, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(TooManyFailures):
        inline(job(table({"prompt": ["x", "BOOM"] * 20}), out, shard_rows=4, max_failures=3, report=True))
    page = page_of(out)
    assert "Not complete: " in page and "TooManyFailures" in page
    assert f"imagegen retry {out} --code generation_failed" in page and "boom" in page

    def stop(progress: Progress) -> None:
        if progress.shards_done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inline(
            job(table({"prompt": ["x"] * 20}, "other.parquet"), tmp_path / "two", shard_rows=4, report=True),
            follow=stop,
        )
    assert "Not complete: 3 of 5 shards are missing" in page_of(tmp_path / "two")
    assert 'data-outcome="stopped"' in page_of(tmp_path / "two")


def test_a_killed_run_is_called_so(table: Callable[..., str], inline: Inline, tmp_path: Path) -> None:
    out = tmp_path / "out"
    inline(job(table({"prompt": ["x"] * 8}), out, shard_rows=4))
    (run,) = read_history(open_store(str(out)))
    run.outcome = run.ended = None  # what stands there until the run ends
    run.save(open_store(str(out)))
    write_report(str(out))
    assert '<span class="outcome" data-outcome="killed">' in page_of(out)
    assert "It was killed, so its time is counted to its last finished shard." in page_of(out)
    (out / run.key).write_bytes(b"no record")
    write_report(str(out))
    assert '<span class="outcome" data-outcome="no record">' in page_of(out)


def test_a_report_that_fails_is_a_warning(
    table: Callable[..., str], inline: Inline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".run").mkdir()
    (out / ".report").touch()  # no folder can be made there

    monkeypatch.setattr("pipelines.agreement.OWN", (".run/", ".report"))
    with pytest.warns(UserWarning, match="the report was not written"):
        summary = inline(job(table({"prompt": ["x"] * 4}), out, report=True))
    assert summary.complete


def test_what_a_run_cost(table: Callable[..., str], inline: Inline, tmp_path: Path) -> None:
    out = tmp_path / "out"
    inline(job(table({"prompt": ["x"] * 8}), out))
    (run,) = read_history(open_store(str(out)))
    run.workers, run.gpus_per_worker, run.ended = 4, 0.5, run.begun + 3 * 3600
    run.save(open_store(str(out)))
    write_report(str(out), price_per_gpu_hour=2.5)
    assert "<dt>Cost</dt><dd>15.00</dd>" in page_of(out)  # 2 GPUs, 3 hours
    assert "<dt>GPU-hours</dt><dd>6</dd>" in page_of(out)
    run.price_per_gpu_hour = 1.0  # as the run itself was told
    run.save(open_store(str(out)))
    write_report(str(out))
    assert "<dt>Cost</dt><dd>6.00</dd>" in page_of(out)


def test_the_passes_over_a_shard_are_kept(table: Callable[..., str], inline: Inline, tmp_path: Path) -> None:
    prompts = ["x", f"FAILS-WITHOUT {tmp_path}/cure"] * 4
    out, copy = tmp_path / "out", tmp_path / "copy"
    inline(job(table({"prompt": prompts}), out))
    (tmp_path / "cure").touch()
    retry_failed(str(out), source=TestSource(), report=False)
    export(str(out), "webdataset", str(copy))
    for where in (out, copy):
        first, again = passes_of(pq.read_metadata(where / "manifest/00000.parquet").metadata)
        assert (first.images, first.failed, again.images, again.failed) == (4, 2, 2, 0)
        assert first.run != again.run and first.begun < first.made <= again.begun < again.made
        assert set(first.seconds) == {"load", "generate", "wait", "encode", "store", "commit"}
    write_report(str(copy))
    assert "2 runs" in page_of(copy)
    write_report(str(out), price_per_gpu_hour=2.5)
    page = page_of(out)
    # A few rows made again are no measure of speed; without GPUs nothing is said of what they cost.
    assert "of the last run that made whole shards" in page
    assert "Cost" not in page and "GPU-hours" not in page and "no GPU was used" in page


def test_what_a_model_takes_to_warm_up_is_told(table: Callable[..., str], inline: Inline, tmp_path: Path) -> None:
    class Compiled(TestSource):
        def load(self, batch_size: int | None = None, device: str = "auto") -> Any:
            generator: Any = super().load(batch_size, device)
            generator.warm_up_seconds = 0.002
            time.sleep(generator.warm_up_seconds)
            return generator

    out = tmp_path / "out"
    inline(job(table({"prompt": ["x"] * 4}), out, shard_rows=2, report=True), source=Compiled())
    found = [passes_of(pq.read_metadata(file).metadata)[0] for file in sorted((out / "manifest").iterdir())]
    assert [each.seconds.get("warm_up") for each in found] == [0.002, None] and found[0].seconds["load"] >= 0
    assert "warming it up" in page_of(out)


def test_larger_runs_show_every_second_shard_and_so_on() -> None:
    sizes = dict.fromkeys(range(10), 100)
    assert choose_shown(sizes, 1000) == list(range(10))
    assert choose_shown(sizes, 500) == [0, 2, 4, 6, 8]
    assert choose_shown(sizes, 499) == [0, 4, 8]
    assert choose_shown({0: 100}, 5) == [0] and choose_shown({}, 5) == []
    assert set(choose_shown(sizes | {10: 100}, 600)) >= set(choose_shown(sizes, 600))  # nothing is drawn anew
