"""`imagegen plan`: its counts are those of real runs, its measurement a run's own, its bottleneck the slowest part."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import entries, job, own_files
from generators import TestSource
from typer.testing import CliRunner

from jobs.capacity import DRIVER_SECONDS, Question, estimate
from jobs.cli import app
from jobs.measurement import Measurement, choose_measurement, measurement_of, save_measurement
from pipelines import errors
from pipelines.job import BatchJob
from pipelines.progress import Summary
from pipelines.storage import LocalStore

Run = Callable[..., Summary]
Table = Callable[..., str]
MEASURED = Measurement("m", "1", "64x64", None, "png", 8, 0.1, 0.002, 10_000.0, 8, "a test")
ASKED = Question(100_000, 8, 1, 1.0, "imagefolder", 64, 3500.0, 10.0, 2.0, 0.005)
LIKE_IT = BatchJob("p", "o", model="flat-colour", size="64x64")  # as `finished`
SLEEP = 0.01
STORED = ("images/", "data/", "manifest/")


class CountingStore(LocalStore):
    """Counts what would be a request each to an object store."""

    requests = 0

    def count(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        CountingStore.requests += 1
        return method(*arguments, **options)

    def put(self, *arguments: Any, **options: Any) -> None:
        self.count(super().put, *arguments, **options)

    def put_file(self, *arguments: Any) -> None:
        self.count(super().put_file, *arguments)

    def read(self, key: str) -> bytes:
        return self.count(super().read, key)

    def exists(self, key: str) -> bool:
        return self.count(super().exists, key)

    def delete(self, key: str) -> None:
        self.count(super().delete, key)


@pytest.fixture
def finished(table: Table, inline: Run, tmp_path: Path) -> Path:
    prompts = [f"picture {index}" for index in range(96)]
    inline(
        job(table({"prompt": prompts}), tmp_path / "out", shard_rows=16, size="64x64"), source=TestSource(sleep=SLEEP)
    )
    return tmp_path / "out"


def test_a_runs_measurement_is_what_its_manifests_say(finished: Path) -> None:
    found = measurement_of(str(finished), LIKE_IT)
    made = entries(finished)
    moments = [entry["created_at"].timestamp() for entry in made]
    assert found.generate_seconds == pytest.approx((max(moments) - min(moments)) / 95)
    assert found.generate_seconds >= SLEEP * 92 / 95  # all but the first batch's
    assert found.bytes == pytest.approx(sum(entry["bytes"] for entry in made) / 96)
    assert (found.model, found.images, found.encode_seconds) == ("flat-colour", 96, None)


def test_a_run_that_is_too_short_tells_nothing(table: Table, inline: Run, tmp_path: Path) -> None:
    inline(job(table({"prompt": ["a", "b"]}), tmp_path / "out"))
    with pytest.raises(errors.InvalidJob, match=r"no worker of .* made 32 images"):
        measurement_of(str(tmp_path / "out"), dataclasses.replace(LIKE_IT, size=None))
    with pytest.raises(errors.NoPlan):
        measurement_of(str(tmp_path / "elsewhere"), LIKE_IT)


def test_a_run_of_something_else_is_refused_and_both_are_named(finished: Path) -> None:
    asked = ["plan", "--rows", "1000", "--gpus", "4", "--from-run", str(finished), "--model", "flat-colour"]
    for other, named in (
        (["--size", "128x128"], "flat-colour, 128x128, its own steps, png"),
        (["--size", "64x64", "--image-format", "webp"], "flat-colour, 64x64, its own steps, webp"),
        (["--size", "64x64", "--model", "imagen-small"], "imagen-small, 64x64, its own steps, png"),
    ):
        said = CliRunner().invoke(app, [*asked, *other])
        assert isinstance(said.exception, errors.InvalidJob)
        assert f"no measurement of {named}" in str(said.exception)
        assert "it is one of flat-colour, 64x64, its own steps, png" in str(said.exception)


@pytest.mark.parametrize("output_format", ["imagefolder", "webdataset", "parquet"])
def test_objects_and_requests_are_those_of_a_run(
    table: Table, inline: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output_format: str
) -> None:
    monkeypatch.setattr("pipelines.stage.open_store", lambda url, answered=False: CountingStore(url))
    CountingStore.requests = 0
    prompts = table({"prompt": [f"picture {index}" for index in range(40)]})
    inline(job(prompts, tmp_path / "out", shard_rows=8, output_format=output_format, n=2))
    question = dataclasses.replace(ASKED, rows=40, images_a_row=2, shard_rows=8, output_format=output_format)
    found = estimate(question, MEASURED)
    assert (found.images, found.shards) == (80, 5)
    assert found.requests == CountingStore.requests
    assert found.objects == len([key for key in own_files(tmp_path / "out") if key.startswith(STORED)])


@pytest.mark.parametrize(
    ("asked", "measured", "bottleneck", "rate"),
    [
        ({}, {}, "GPUs", 80.0),
        ({}, {"encode_seconds": 0.5}, "encoding", 16.0),
        ({"object_rate": 8.0}, {}, "object rate", 8.0 / (1 + 6 * 1563 / 100_000)),
        ({"network_gbit": 0.001}, {}, "network", 12.5),
        ({"rows": 64, "gpus": 8}, {}, "GPUs", 10.0),  # one shard, so one worker
        (
            {"gpus": 1_500},
            {"bytes": 10.0, "generate_seconds": 0.001, "encode_seconds": None},
            "driver",
            64 / DRIVER_SECONDS,
        ),
    ],
)
def test_the_bottleneck_is_the_slowest_part(
    asked: dict[str, Any], measured: dict[str, Any], bottleneck: str, rate: float
) -> None:
    found = estimate(
        dataclasses.replace(ASKED, **{"object_rate": 1e6, **asked}), dataclasses.replace(MEASURED, **measured)
    )
    assert found.bottleneck == bottleneck
    assert found.images_per_second == pytest.approx(rate)
    assert found.seconds == pytest.approx(found.images / rate)


def test_cost_is_time_and_requests() -> None:
    found = estimate(ASKED, MEASURED)
    assert found.gpu_cost == pytest.approx(8 * 1250 / 3600 * 2.0)
    assert found.request_cost == pytest.approx((100_000 + 6 * 1563) / 1000 * 0.005)
    assert found.bytes == 1e9 and found.last_shard_seconds == pytest.approx(6.4)
    free = dataclasses.replace(ASKED, price_per_gpu_hour=None, price_per_1000_requests=None)
    assert (estimate(free, MEASURED).gpu_cost, estimate(free, MEASURED).request_cost) == (None, None)


def test_more_rows_than_a_run_can_have_are_refused() -> None:
    with pytest.raises(errors.InvalidJob, match="too many"):
        estimate(dataclasses.replace(ASKED, rows=10**10), MEASURED)
    with pytest.raises(errors.InvalidJob, match="network_gbit must be above 0"):
        dataclasses.replace(ASKED, network_gbit=0.0)


def test_a_file_keeps_one_measurement_of_each_kind(tmp_path: Path) -> None:
    path = tmp_path / "measurements.json"
    small = dataclasses.replace(MEASURED, model="flat-colour")
    large = dataclasses.replace(small, size="512x512", generate_seconds=1.0)
    for measurement in (small, large, dataclasses.replace(small, generate_seconds=0.2)):
        save_measurement(path, measurement)
    assert choose_measurement(path, BatchJob("p", "o", model="flat-colour", size="64x64")).generate_seconds == 0.2
    assert choose_measurement(path, BatchJob("p", "o", model="flat-colour", size="512x512")) == large
    with pytest.raises(
        errors.InvalidJob, match=r"no measurement of flat-colour, 256x256.*it has: flat-colour, 512x512"
    ):
        choose_measurement(path, BatchJob("p", "o", model="flat-colour", size="256x256"))
    path.write_text("{}")
    with pytest.raises(errors.InvalidJob, match="holds no measurements"):
        choose_measurement(path, BatchJob("p", "o", model="flat-colour"))


def test_the_command_measures_says_and_keeps(finished: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    asked = ["plan", "--rows", "1000", "--gpus", "4", "--model", "flat-colour", "--size", "64x64"]
    said = CliRunner().invoke(app, [*asked, "--save", str(kept)])
    assert said.exit_code == 0 and said.output.count("<- the bottleneck") == 1
    assert {"images", "measured", "GPUs", "encoding", "network", "driver", "time", "objects", "bytes"} <= {
        line.split()[0] for line in said.output.splitlines()
    }
    again = CliRunner().invoke(app, [*asked, "--measurement", str(kept), "--json"])
    answer = json.loads(again.stdout)
    assert answer["measurement"] == json.loads(kept.read_text())["measurements"][0]
    assert answer["images"] == 1000 and answer["images_per_second"] == pytest.approx(1000 / answer["seconds"])
    of_run = json.loads(CliRunner().invoke(app, [*asked, "--from-run", str(finished), "--json"]).stdout)
    assert of_run["measurement"] == dataclasses.asdict(measurement_of(str(finished), LIKE_IT))
