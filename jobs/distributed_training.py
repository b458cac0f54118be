"""Training by several workers, through Ray Train: each takes its share of every step, the first one writes.

`imagen_model.training` knows of torch's process group alone; here Ray starts the processes, on this machine or on a
cluster, joins them into that group, and starts them anew, from the last checkpoint, when one dies. Checkpoints are
those of a run without Ray, in the same folder, so that a run may go on with another number of workers.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imagen_model.training.job import InvalidTrainingJob, TrainingJob
from pipelines.errors import WorkersFailed
from pipelines.job import Pool
from pipelines.ray_flow import ray, ray_running

from .console import say

RESTARTS = 3  # after which a worker that dies again stops the run
RAY_FILES = ".ray-train"  # under the output; gone after the run
STOPPED = "stopped.json"  # what no restart helps with
LOOK_EVERY = 0.5  # seconds


def train_with_workers(job: TrainingJob, workers: int, gpu: bool, ray_address: str | None) -> Path:
    """Train to the end with so many processes; returns the model's folder.

    Args:
        gpu: whether each has a GPU; else each has a CPU.
        ray_address: of a cluster; None to start Ray here.

    Raises:
        InvalidTrainingJob: the job cannot be shared by so many, or not be run.
        FloatingPointError: the loss is not finite any more.
        WorkersFailed: workers died more than `RESTARTS` times.
    """
    from imagen_model.training.share import Share

    Share(0, workers).check(job)
    output = Path(job.output).absolute()
    output.mkdir(parents=True, exist_ok=True)
    notes = output / RAY_FILES / uuid.uuid4().hex[:12]
    pool = Pool(workers=workers, gpus_per_worker=1.0 if gpu else 0.0, ray_address=ray_address)
    try:
        with ray_running(pool, str(output / "ray.log")), following(output / "log.jsonl"):
            run_workers(job, output, notes, workers, gpu)
    finally:
        shutil.rmtree(output / RAY_FILES, ignore_errors=True)
    return output / "model"


def run_workers(job: TrainingJob, output: Path, notes: Path, workers: int, gpu: bool) -> None:
    """Raises as `train_with_workers`."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    gpus = ray.cluster_resources().get("GPU", 0.0)  # type: ignore[no-untyped-call]
    if gpu and gpus < 1:
        raise InvalidTrainingJob("--gpu: Ray finds no GPU; leave it out to train on CPUs")
    trainer = TorchTrainer(
        train_share,
        train_loop_config={
            "job": job,
            "output": str(output),
            "notes": str(notes),
            "gpu": gpu,
            "folder": str(Path.cwd()),
        },
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu),
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
        run_config=RunConfig(
            name="workers", storage_path=str(notes), failure_config=FailureConfig(max_failures=RESTARTS)
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise WorkersFailed(
            f"workers died {RESTARTS + 1} times ({error}); the last checkpoint is in {output}, more is in its ray.log; "
            "run the same command again"
        ) from error
    stopped = notes / STOPPED
    if stopped.exists():
        found = json.loads(stopped.read_text())
        raise {"FloatingPointError": FloatingPointError}.get(found["kind"], InvalidTrainingJob)(found["message"])


def train_share(config: dict[str, Any]) -> None:
    """In a worker's process, whose group torch knows already."""
    import dataclasses

    import torch

    from imagen_model.training.loop import trainer

    os.chdir(config["folder"])  # Ray changes it, and the job's paths may be relative
    job = dataclasses.replace(config["job"], output=config["output"])
    if config["gpu"]:
        from ray.train.torch import get_device

        torch.cuda.set_device(get_device())
    try:
        trainer(job).run()
    except (InvalidTrainingJob, FloatingPointError) as mistake:  # of all workers alike, this time and every time
        stopped = Path(config["notes"]) / STOPPED
        stopped.parent.mkdir(parents=True, exist_ok=True)
        stopped.write_text(json.dumps({"kind": type(mistake).__name__, "message": str(mistake)}))


@contextmanager
def following(log: Path) -> Iterator[None]:
    """Say each line that is added to the log meanwhile: the workers' own output is Ray's."""
    ended = threading.Event()
    seen = log.stat().st_size if log.exists() else 0

    def follow() -> None:
        nonlocal seen
        while True:
            last = ended.wait(LOOK_EVERY)
            if log.exists():
                with log.open() as file:
                    file.seek(seen)
                    for line in iter(file.readline, ""):
                        say(line.rstrip())
                    seen = file.tell()
            if last:
                return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
