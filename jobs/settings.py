"""The settings of `imagegen generate`: a YAML file, flags that win over it, one frozen object."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from pipelines.errors import InvalidJob
from pipelines.job import BatchJob, Pool


def settings_of(*kinds: type) -> dict[str, Any]:
    """Name -> (type, default) of each field of the dataclasses, as pydantic's `create_model` takes them."""
    found: dict[str, Any] = {}
    for kind in kinds:
        types = get_type_hints(kind)
        for field in dataclasses.fields(kind):
            found[field.name] = (types[field.name], ... if field.default is dataclasses.MISSING else field.default)
    return found


FIELDS = settings_of(BatchJob, Pool)
del FIELDS["pool"]  # its own fields stand in its place
# Every setting of a batch job, named as its flag with underscores. Types are checked here; ranges, and what goes
# together, by `BatchJob` and `Pool` themselves.
GenerateSettings = create_model("GenerateSettings", __config__=ConfigDict(extra="forbid", strict=True), **FIELDS)


def batch_job(settings: BaseModel) -> BatchJob:
    """Raises:
    InvalidJob: a value is out of range.
    """
    values = settings.model_dump()
    pool = Pool(**{name: values.pop(name) for name in settings_of(Pool)})
    return BatchJob(**values, pool=pool)


def read_settings(job_file: Path | None, flags: dict[str, Any]) -> BatchJob:
    """The job that the file's settings ask for, with the flags that were given (not None) in their place.

    Raises:
        InvalidJob: the file cannot be read, or settings are unknown, missing or wrong; all that is known at once.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    values = {**(read_job_file(job_file) if job_file else {}), **given}
    try:
        return batch_job(GenerateSettings(**values))
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
