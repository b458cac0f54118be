"""`imagegen train`: a YAML file in, a model folder out."""

from __future__ import annotations

from pathlib import Path

from imagen_model.training.job import InvalidTrainingJob, read_training_job

from .console import say
from .exit_codes import ExitCode


def train_command(path: Path, workers: int = 1, gpu: bool = False, ray_address: str | None = None) -> int:
    try:
        job = read_training_job(path)
    except InvalidTrainingJob as mistake:
        say(f"imagegen: {mistake}")
        return ExitCode.USAGE
    # torch, transformers and Ray only once the file is known to be right.
    try:
        if workers > 1 or gpu or ray_address is not None:
            from .distributed_training import train_with_workers

            folder = train_with_workers(job, workers, gpu, ray_address)
        else:
            from imagen_model.training.loop import train

            folder = train(job)
    except InvalidTrainingJob as mistake:  # right by itself, but not for the model that it starts from
        say(f"imagegen: {mistake}")
        return ExitCode.USAGE
    print(f"the model is in {folder}; its log and sample grids are in {job.output}")
    print(f"next: {'imagegen evaluate' if job.captioner is None else 'python -m imagen_model.caption_exam'} {folder}")
    return ExitCode.SUCCESS
