"""The settings of `imagegen generate`: a YAML file, flags that win over it, one frozen object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import InvalidJob
from pipelines.job import BatchJob, Pool


class GenerateSettings(BaseModel):
    """Every setting of a batch job, named as its flag with underscores.

    What may be given, `pipelines.job.BatchJob` and `Pool` say and check.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    prompts: str
    output: str
    model: str = "imagen-small"
    input_format: str | None = None
    prompt_column: str | None = None
    image_format: str = "png"
    output_format: str = "imagefolder"
    quality: int | None = None
    n: int = 1
    seed: int = 0
    size: str | None = None
    width: int | None = None
    height: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    temperature: float | None = None
    negative_prompt: str | None = None
    shard_rows: int | None = None
    limit: int | None = None
    extend: bool = False
    max_failures: str | int | None = None
    log_file: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None
    cpus_per_worker: float = 1.0
    batch_size: int | None = None
    device: str = "auto"
    ray_address: str | None = None

    def batch_job(self) -> BatchJob:
        """Raises:
        InvalidJob: a value is out of range.
        """
        pool_fields = set(Pool.__dataclass_fields__)
        values = self.model_dump()
        pool = Pool(**{name: values.pop(name) for name in list(values) if name in pool_fields})
        return BatchJob(**values, pool=pool)


def read_settings(job_file: Path | None, flags: dict[str, Any]) -> GenerateSettings:
    """The file's settings, with the flags that were given (not None) in their place.

    Raises:
        InvalidJob: the file cannot be read, or settings are unknown, missing or of the wrong type; all at once.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    values = {**(read_job_file(job_file) if job_file else {}), **given}
    try:
        return GenerateSettings(**values)
    except ValidationError as problem:
        source = f" (from {job_file} and the flags)" if job_file else ""
        raise InvalidJob(f"the settings{source} cannot be used:\n" + "\n".join(mistakes(problem))) from None


def read_job_file(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise InvalidJob(f"cannot read the job file {path}: {problem}") from problem
    if not isinstance(values, dict):
        raise InvalidJob(f"the job file {path} must hold settings like `prompts: prompts.parquet`, line by line")
    return {str(name): value for name, value in values.items()}


def mistakes(problem: ValidationError) -> list[str]:
    known = ", ".join(GenerateSettings.model_fields)
    lines = []
    for error in problem.errors():
        name = ".".join(map(str, error["loc"]))
        match error["type"]:
            case "missing":
                lines.append(f"  {name} is missing; give it as an argument or in the job file")
            case "extra_forbidden":
                lines.append(f"  {name} is no setting; known are: {known}")
            case _:
                lines.append(f"  {name}: {error['msg']}, got {error['input']!r:.80}")
    return lines
