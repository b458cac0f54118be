"""Several processes share a step: the weights of one process, whatever dies meanwhile."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from safetensors.torch import load_file

from imagen_model.training.job import InvalidTrainingJob, TrainingJob
from imagen_model.training.loop import Trainer, train
from jobs.distributed_training import train_with_workers
from tests.model.conftest import TINY_JOB

JOB = dataclasses.replace(TINY_JOB, steps=40, learning_rate=1e-3, threads=1, validate_every=40)


def test_two_workers_one_of_them_killed_end_with_the_weights_of_one_process(tmp_path: Path) -> None:
    job = dataclasses.replace(JOB, output=str(tmp_path / "two"))
    spec = tmp_path / "job.yaml"
    fields = dataclasses.asdict(job) | {"sample_prompts": list(job.sample_prompts)}
    spec.write_text(yaml.safe_dump({name: value for name, value in fields.items() if value is not None}))
    command = [sys.executable, "-c", "from jobs.cli import main; main()", "train", str(spec), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        kill_a_worker(process, tmp_path / "two")
        said, _ = process.communicate(timeout=500)
    finally:
        process.kill()
    assert process.returncode == 0, said
    alone = train(dataclasses.replace(JOB, output=str(tmp_path / "one")))
    one, two = (load_file(folder / "model.safetensors") for folder in (alone, tmp_path / "two/model"))
    furthest = max(float((one[name] - two[name]).abs().max()) for name in one)
    assert 0 < furthest < 1e-4
    lines = [json.loads(line) for line in (tmp_path / "two/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [40] and '"step": 40' in said
    assert not (tmp_path / "two/.ray-train").exists()
    assert Trainer(job).steps_done == 40  # its checkpoint is one process's too


def kill_a_worker(process: subprocess.Popen[str], output: Path) -> None:
    """As soon as there is a checkpoint to go on from."""
    ends = time.monotonic() + 400
    while time.monotonic() < ends and process.poll() is None:
        if list(output.glob("checkpoint-*[0-9]")):
            for child in psutil.Process(process.pid).children(recursive=True):
                if "RayTrainWorker" in " ".join(child.cmdline()):
                    os.kill(child.pid, signal.SIGKILL)
                    return
        time.sleep(0.02)
    raise AssertionError("no worker to kill")


def test_what_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTrainingJob, match="batch_size must be a multiple of the number of workers, got 4 and 3"):
        train_with_workers(dataclasses.replace(JOB, output=str(tmp_path)), 3, False, None)
    with pytest.raises(InvalidTrainingJob, match="captioners and text encoders are trained by one worker"):
        train_with_workers(TrainingJob(output=str(tmp_path), captioner={"hidden_size": 32}), 2, False, None)
