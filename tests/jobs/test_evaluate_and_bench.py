"""The measuring commands measure: a scale with two ends, figures from real runs, one JSON line."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from .test_command_line import imagegen


def test_a_model_that_draws_nothing_scores_nothing(tmp_path: Path) -> None:
    grid = tmp_path / "grid.png"
    run = imagegen("evaluate", "flat-colour", "--samples", "12", "--json", "--grid", str(grid))
    assert run.returncode == 0, run.stderr
    scores = json.loads(run.stdout)["scores"]
    assert {row["split"] for row in scores} == {"seen", "held out"} and len(scores) == 13
    for row in scores:
        assert row["drawings"] >= 0.99 and row["right"] == 0 and row["interval"][1] < 0.3
    with Image.open(grid) as picture:
        assert picture.getpixel((0, 0)) == (230, 30, 30)


def test_the_bundled_model_beats_the_lower_end(tmp_path: Path) -> None:
    run = imagegen("evaluate", "imagen-small", "--samples", "8", "--json", timeout=280)
    assert run.returncode == 0, run.stderr
    scores = {(row["split"], row["category"]): row for row in json.loads(run.stdout)["scores"]}
    colours = scores["seen", "colours"]
    assert colours["parts"]["colour"] >= 0.5 > colours["shuffled"]
    assert scores["seen", "landscape"]["parts"]["time"] >= 0.5


def test_the_bench_prints_one_line_of_figures(tmp_path: Path) -> None:
    run = imagegen("bench", "--part", "decoder", "--rounds", "1", timeout=280)
    assert run.returncode == 0, run.stderr
    (line,) = run.stdout.splitlines()
    decoder = json.loads(line)["decoder"]
    assert decoder["cached_step_milliseconds"] > 0 and decoder["speed_up"] > 1
    assert imagegen("bench", "--part", "nonsense").returncode == 2
