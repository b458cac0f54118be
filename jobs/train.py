"""`imagegen train`: YAML files in, a model folder out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagen_model.training.job import TEXT_ENCODER, InvalidTrainingJob, TrainingJob, read_training_job

from .console import say
from .exit_codes import ExitCode


def train_command(paths: Sequence[Path], workers: int = 1, gpu: bool = False, ray_address: str | None = None) -> int:
    """The files one after another: a later one may start from what an earlier one makes. Of several, those that cannot
    be shared are trained by one worker."""
    jobs, mistakes = [], []
    for path in paths:
        try:
            jobs.append(read_training_job(path))
        except InvalidTrainingJob as mistake:
            mistakes.append(str(mistake))
    mistakes += shared_outputs(paths, jobs) if not mistakes else []
    for told in mistakes:  # all of them, before hours of training
        say(f"imagegen: {told}")
    if mistakes:
        return ExitCode.USAGE
    for path, job in zip(paths, jobs, strict=True):
        by = workers
        if len(jobs) > 1:
            by = workers if job.can_be_shared else 1
            alone = ", by one worker" if by < workers else ""
            say(f"{path}: {job.steps} steps of {job.stage if job.captioner is None else 'the captioner'}{alone}")
        try:
            folder = train_one(job, by, gpu, ray_address)
        except InvalidTrainingJob as mistake:  # right by itself, but not for the model that it starts from
            say(f"imagegen: {path}: {mistake}")
            return ExitCode.USAGE
        print(f"the model is in {folder}; its log and samples are in {job.output}", flush=True)
    print(f"next: {next_step(jobs[-1], folder)}")
    return ExitCode.SUCCESS


def shared_outputs(paths: Sequence[Path], jobs: Sequence[TrainingJob]) -> list[str]:
    """Of files that would go on from each other's checkpoints."""
    first: dict[str, Path] = {}
    found = []
    for path, job in zip(paths, jobs, strict=True):
        other = first.setdefault(str(Path(job.output).resolve()), path)
        if other is not path:
            found.append(f"{path}: output {job.output} is that of {other} too; give each file one of its own")
    return found


def train_one(job: TrainingJob, workers: int, gpu: bool, ray_address: str | None) -> Path:
    # torch, transformers and Ray only once the files are known to be right.
    if workers > 1 or gpu or ray_address is not None:
        from .distributed_training import train_with_workers

        return train_with_workers(job, workers, gpu, ray_address)
    from imagen_model.training.loop import train

    return train(job)


def next_step(job: TrainingJob, folder: Path) -> str:
    if job.captioner is not None:
        return f"python -m imagen_model.caption_exam {folder}"
    if job.stage == TEXT_ENCODER:
        return f"train the base with start_from: {folder}"
    return f"imagegen evaluate {folder}"
