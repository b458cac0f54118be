"""`imagegen job submit` to three nodes, from another folder, another environment, and with other code than theirs."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageChops

from imagen_model.flat_colour import FlatColourGenerator
from imagen_model.generation import GenerationRequest, Success
from jobs.cluster.packing import DECIDING, PACKAGES, differences, installed, to_install
from jobs.job_files.runs import unreachable
from jobs.job_files.settings import JobFile
from pipelines.errors import InvalidJob

ROOT = Path(__file__).parents[2]
ROWS, SHARD_ROWS = 100, 1
# As every manifest of infra/ asks for it.
AUTHENTICATION = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 2}
# The submitted code differs from the project's in what it paints, and can be slow.
OTHER = """

def painted_otherwise(paint):
    import os, time
    from PIL import ImageChops

    def generate(self, requests):
        time.sleep(float(os.environ.get("SECONDS_A_PICTURE", "0")) * len(requests))
        return [type(one)(ImageChops.invert(one.image), one.seconds) for one in paint(self, requests)]

    return generate


FlatColourGenerator.generate = painted_otherwise(FlatColourGenerator.generate)
"""


class Desk:
    """Where a person sits: a folder with broken packages of our names, an environment that knows nothing of us."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "desk"
        self.folder.mkdir()
        for name in PACKAGES:
            (self.folder / name).mkdir()
            (self.folder / name / "__init__.py").write_text("raise ImportError('this is not the submitted code')\n")
        self.code = folder / "code"
        for name in PACKAGES:
            ignored = shutil.ignore_patterns("checkpoints", "__pycache__")
            shutil.copytree(ROOT / name, self.code / name, ignore=ignored)
        with (self.code / "imagen_model" / "flat_colour.py").open("a") as file:
            file.write(OTHER)
        venv.create(folder / "env", with_pip=False)
        self.environment = {
            **os.environ,
            "PATH": f"{folder / 'env' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(folder / "env"),
            "PYTHONPATH": str(self.code),
            **AUTHENTICATION,
        }

    def imagegen(self, *arguments: str, at: Path | None = None, **variables: str) -> str:
        """Its standard output."""
        command = [sys.executable, "-P", "-c", "from jobs.cli import main; main()", *arguments]
        run = subprocess.run(
            command,
            cwd=at or self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def write_job(self, name: str, **settings: Any) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items()))
        return path


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("submission"))


@pytest.fixture(scope="module")
def address(desk: Desk) -> Iterator[str]:
    command = [sys.executable, str(Path(__file__).with_name("job_server.py")), str(desk.folder)]
    environment = {**os.environ, **AUTHENTICATION}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        yield json.loads(process.stdout.readline())["address"]
        process.stdin.close()
        process.wait(timeout=120)


def pictures(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.glob("images/*/*.png")}


def test_the_submitted_code_runs_stops_in_good_order_and_goes_on_to_the_same_bytes(desk: Desk, address: str) -> None:
    table = desk.folder / "prompts.txt"
    table.write_text("".join(f"a picture of {number}\n" for number in range(ROWS)))
    settings = {"prompts": str(table), "model": "flat-colour", "shard_rows": SHARD_ROWS, "workers": 2, "report": False}
    output, undisturbed = desk.folder / "out-night-1", desk.folder / "undisturbed"
    on_gpus = {"gpus_per_worker": 1, "metrics_port": 0}
    file = desk.write_job("bulk", output=str(desk.folder / "out-{run_id}"), **settings, **on_gpus)
    at = ("--address", address)
    submit = ("job", "submit", str(file), "--run-id", "night-1", *at)
    first = desk.imagegen(*submit, "--env", "SECONDS_A_PICTURE", SECONDS_A_PICTURE="2").strip()
    deadline = time.monotonic() + 240
    while not list(output.glob("manifest/*.parquet")):
        assert time.monotonic() < deadline, desk.imagegen("job", "logs", first, *at)
        time.sleep(0.1)
    said = re.search(r"metrics are at (http://127\.0\.0\.1:\d+/metrics)", desk.imagegen("job", "logs", first, *at))
    assert said
    with urllib.request.urlopen(said[1], timeout=30) as answer:
        assert re.search(
            r'^imagegen_job_busy_seconds_total\{gpu="0",worker="[^"]+"\} [1-9]', answer.read().decode(), re.M
        )
    assert desk.imagegen("job", "stop", first, *at) == f"{first}: stopped\n"
    done = len(list(output.glob("manifest/*.parquet")))
    assert 0 < done < ROWS // SHARD_ROWS
    assert not list(output.glob(".run/attempts/*")), "a shard was left half made"
    assert "stopped as asked" in desk.imagegen("job", "logs", first, *at)

    second = desk.imagegen(*submit).strip()
    log = desk.imagegen("job", "logs", second, "--follow", *at)
    assert f"{ROWS} rows, {ROWS} images, 0 failed" in log, log
    listed = json.loads(desk.imagegen("job", "list", "--json", *at))
    assert [(one["submission_id"], one["state"], one["output"]) for one in listed] == [
        (first, "stopped", str(output)),
        (second, "succeeded", str(output)),
    ]
    alone = desk.write_job("alone", output=str(undisturbed), **settings)
    desk.imagegen("generate", "--job", str(alone), at=desk.code)
    assert pictures(output) == pictures(undisturbed) and len(pictures(output)) == ROWS
    # The project's own code paints something else, so it was the submitted code that ran.
    with Image.open(io.BytesIO(pictures(output)["000000000-0.png"])) as found:
        seed = pq.read_table(output / "manifest" / "00000.parquet").column("seed")[0].as_py()
        (drawn,) = FlatColourGenerator(1).generate([GenerationRequest(prompt="a picture of 0", seed=seed)])
        assert isinstance(drawn, Success)
        assert found.convert("RGB").tobytes() == ImageChops.invert(drawn.image).tobytes()


def test_what_only_this_machine_has_is_refused(desk: Desk) -> None:
    file = desk.write_job("here", prompts="prompts.txt", output="s3://bucket/${NOT_SET_HERE}", model="./model")
    command = [sys.executable, "-P", "-c", "from jobs.cli import main; main()", "job", "submit", str(file)]
    run = subprocess.run(command, cwd=desk.folder, env=desk.environment, capture_output=True, text=True)
    assert run.returncode == 2
    assert "line 1: prompts: prompts.txt must be a URL" in run.stderr and "line 3: model: ./model" in run.stderr


def test_no_job_server_is_told_of(desk: Desk) -> None:
    command = [sys.executable, "-P", "-c", "from jobs.cli import main; main()"]
    arguments = ["job", "list", "--address", "http://127.0.0.1:9"]
    run = subprocess.run([*command, *arguments], cwd=desk.folder, env=desk.environment, capture_output=True, text=True)
    assert run.returncode == 1 and "no job server of Ray answers at http://127.0.0.1:9" in run.stderr


def test_versions_that_decide_the_bytes_are_compared() -> None:
    versions = installed()
    assert {"torch", "ray", "pillow", "pydantic", "typer"} <= set(versions)
    travelling = {"versions": {"torch": versions["torch"] + "+cu130", "pillow": "1.0", "numpy": versions["numpy"]}}
    assert differences(travelling, versions) == [f"pillow {versions['pillow']} here, 1.0 there"]
    assert differences({"versions": {"torch": "9"}}, {}) == ["torch none here, 9 there"]


def test_they_are_compared_also_where_imagegen_is_imported_and_not_installed() -> None:
    of_none = "imagegen-that-nobody-installed"
    assert installed(of_none) == {name: installed()[name] for name in sorted(DECIDING)}
    with pytest.raises(InvalidJob, match="--install brings what imagegen-that-nobody-installed was installed with"):
        to_install(of_none)


def test_every_setting_with_a_path_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    bad = {
        "prompts": "prompts.txt",
        "output": "~/out",
        "model": "models/mine",
        "log_file": "ray.log",
        "c2pa_certificate": "chain.pem",
        "c2pa_key": "key.pem",
        "lora": ["/shared/styles/ours.safetensors", "styles/mine.safetensors=0.5"],
    }
    found = list(unreachable(JobFile(**bad)))
    assert [name for name, _ in found] == ["prompts", "output", "log_file", "model", *list(bad)[4:]]
    assert found[-1][1] == "styles/mine.safetensors=0.5 must be an absolute path that every node has"
    good = {"prompts": "s3://b/p", "output": "${BUCKET}/out", "model": "org/model", "c2pa_key": "/keys/key.pem"}
    assert not list(unreachable(JobFile(**good)))
