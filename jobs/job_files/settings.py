"""What a job file may say. The settings of `imagegen generate` stand flat, each by its flag's name with underscores;
three sections say what only a job file can: `schedule`, `notification` and `contact_sheet`.

The published schema (`jobs/specs/job.schema.json`) is made of these classes. Limits stand here so that an editor
knows them and every wrong one is told at once; `pipelines.job` checks them again, and a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from imagen_model.generation import MAX_BEST_OF, MAX_SEED, MAX_SIDE
from imagen_model.post_processing import parse_steps
from pipelines.errors import InvalidJob
from pipelines.job import BatchJob, FailureBudget, Pool, check_device, parse_size
from pipelines.model_options import ModelOptionFields, Text
from pipelines.rows import MAX_IMAGES

from .times import check_cron, parse_interval


def checked_budget(value: object) -> object:
    """Before its type is looked at: pydantic would tell of each type of a union by itself."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise ValueError(f"it must be a count like 20 or a share like 5%, got {value!r:.80}")
    try:
        FailureBudget.parse(value)
    except InvalidJob:
        raise ValueError(f"it must be a count like 20 or a share like 5%, got {value!r:.80}") from None
    return value


def checked_size(value: object) -> object:
    """Also of a bare number, which YAML has for no text."""
    if value is not None:
        said(parse_size, str(value))
    return value


def checked_device(text: str) -> str:
    said(check_device, text)
    return text


def said(check: Callable[[str], object], text: str) -> None:
    try:
        check(text)
    except InvalidJob as problem:
        raise ValueError(str(problem).partition(" ")[2]) from None  # the setting's name stands before it


def checked_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError(f"no time zone is called {name!r:.80}; give one like UTC or Europe/Berlin") from None
    return name


def checked_steps(text: str) -> str:
    parse_steps(text)
    return text


def checked_interval(text: str) -> str:
    parse_interval(text)
    return text


def checked_cron(text: str) -> str:
    check_cron(text)
    return text


InputFormat = Literal[
    "parquet",
    "csv",
    "tsv",
    "jsonl",
    "text",
    "paragraphs",
    "openai-batch",
    "a1111",
    "coco",
    "conceptual-captions",
]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Schedule(Section):
    """When `imagegen schedule` starts the job. Give `cron` or `every`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["cron"]}, {"required": ["every"]}]})

    cron: Annotated[str, AfterValidator(checked_cron)] | None = Field(
        None,
        description="Minute, hour, day of month, month, day of week, as in crontab: '30 2 * * *' is half past two.",
        examples=["30 2 * * *", "0 6 * * mon-fri"],
    )
    every: Annotated[str, AfterValidator(checked_interval)] | None = Field(
        None,
        description="An interval such as '30 s', '15 min', '6 h' or '2 d', counted from 1970-01-01 00:00 UTC.",
        examples=["15 min", "6 h"],
    )
    time_zone: Annotated[str, AfterValidator(checked_zone)] = Field(
        "UTC", description="In which `cron` and `{date}` are meant, such as Europe/Berlin.", examples=["Europe/Berlin"]
    )
    missed: Literal["run_once", "skip"] = Field(
        "run_once", description="What happens with times at which the scheduler was not there."
    )
    overlap: Literal["skip", "queue"] = Field(
        "skip", description="What happens with a time at which the last run is still at work."
    )
    retries: int = Field(3, ge=0, le=100, description="How often a run that ended with an error is started again.")
    retry_seconds: float = Field(
        60.0, ge=0.1, le=86_400, description="Before the first retry; twice as long before each further one."
    )


class Notification(Section):
    """A webhook that hears of the run: JSON by POST, signed as https://www.standardwebhooks.com says."""

    url: Text = Field(description="Where to send; may hold `${NAME}` for a part that is secret.")
    events: list[Literal["start", "end", "failure_budget"]] = Field(
        ["start", "end", "failure_budget"], description="Of what to tell.", min_length=1
    )
    secret_env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = Field(
        None,
        description="Name of the environment variable with the secret that signs; unsigned without.",
        examples=["IMAGEGEN_WEBHOOK_SECRET"],
    )


class ContactSheet(Section):
    """A PDF of all pictures with their prompts: OUTPUT/contact-sheet.pdf."""

    title: str | None = Field(None, max_length=200, description="Printed on each page; default the job's name.")
    columns: int = Field(3, ge=1, le=8, description="Pictures side by side on a page.")
    rows: int = Field(3, ge=1, le=12, description="Pictures one above the other on a page.")


class TableJob(Section):
    """What is made of which table."""

    prompts: Text = Field(description="Prompt table: path or URL of a file, a folder or a glob. Takes references.")
    output: Text = Field(description="Folder or URL of the dataset. Takes references.")
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?$")] | None = Field(
        None, description="Of the job in logs, messages and run ids; default the file's own name."
    )
    model: Text = Field("imagen-small", description="Bundled model, folder, hub id or URL. Takes references.")
    endpoint: Text | None = Field(
        None, description="Address of an `imagegen serve` that makes the pictures. Takes references."
    )
    input_format: InputFormat | None = Field(None, description="Of the table, where its files do not tell it.")
    prompt_column: Text | None = Field(None, description="Column of the prompts; default prompt, text, ...")
    n: int = Field(1, ge=1, le=MAX_IMAGES, description="Images for each row that does not say it itself.")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="From which rows without a seed get theirs.")
    size: Annotated[str | None, BeforeValidator(checked_size)] = Field(
        None,
        description="Width x height in pixels.",
        examples=["128x128"],
        json_schema_extra={"anyOf": [{"pattern": r"^\d{1,5}[xX]\d{1,5}$", "type": "string"}, {"type": "null"}]},
    )
    width: int | None = Field(None, ge=1, le=MAX_SIDE, description="In pixels, with `height`; or give `size`.")
    height: int | None = Field(None, ge=1, le=MAX_SIDE, description="In pixels, with `width`; or give `size`.")
    guidance_scale: float | None = Field(None, ge=0, le=100, description="Classifier-free guidance; 1 is none.")
    num_inference_steps: int | None = Field(None, ge=1, le=1000, description="For models that sample in steps.")
    temperature: float | None = Field(None, ge=0, le=10, description="0 takes the likeliest value always.")
    top_k: int | None = Field(None, ge=0, le=65_536, description="Sample from the k likeliest values; 0 from all.")
    top_p: float | None = Field(None, gt=0, le=1, description="Sample from the likeliest values of this share.")
    negative_prompt: str | None = Field(None, max_length=10_000, description="What guidance steers away from.")
    best_of: int | None = Field(None, ge=1, le=MAX_BEST_OF, description="Keep the likeliest of so many candidates.")
    post_processing: Annotated[str, AfterValidator(checked_steps)] | None = Field(
        None,
        description="Steps in their order: colorize (of the table's `grey_image`), denoise, sharpen=AMOUNT, "
        "upscale=WIDTHxHEIGHT.",
        examples=["denoise, sharpen=0.8, upscale=512x512"],
    )
    image_format: Literal["png", "jpeg", "webp"] = Field("png", description="Of the pictures.")
    quality: int | None = Field(None, ge=1, le=100, description="For jpeg and webp; default 90.")
    metadata: Literal["none", "provenance", "full"] = Field(
        "none", description="In the pictures' files: that a model made them; in full, all settings too."
    )
    c2pa_certificate: Text | None = Field(
        None, description="PEM file of the certificate chain that signs the pictures' files (C2PA), on every node."
    )
    c2pa_key: Text | None = Field(None, description="PEM file of its private key, on every node.")
    output_format: Literal["imagefolder", "webdataset", "parquet"] = Field(
        "imagefolder", description="How the dataset lies in its folder."
    )
    limit: int | None = Field(None, ge=1, description="Only the first rows; the rest can follow later.")
    extend: bool = Field(False, description="Go on with files that came to the prompt folder since the first run.")
    shard_rows: int | None = Field(None, ge=1, le=1024, description="Rows of a shard, the unit of work and resume.")
    max_failures: Annotated[str | int | None, BeforeValidator(checked_budget)] = Field(
        None, description="Failure budget: stop after so many failed images.", examples=["5%", 20]
    )


class JobFile(ModelOptionFields, TableJob):
    """A batch job: one prompt table in, one dataset out."""

    workers: int | None = Field(None, ge=1, description="Worker processes; default what Ray finds.")
    gpus_per_worker: float | None = Field(None, ge=0, description="Default 1 where there are GPUs.")
    cpus_per_worker: float = Field(1.0, ge=0.01, description="CPUs of each worker.")
    batch_size: int | None = Field(None, ge=1, description="Images computed together; changes no image.")
    device: Annotated[str, AfterValidator(checked_device)] = Field(
        "auto",
        description="auto, cpu, cuda or cuda:1.",
        json_schema_extra={"pattern": r"^(auto|cpu|cuda(:\d{1,3})?)$"},
    )
    ray_address: Text | None = Field(None, description="Of a Ray cluster to join. Takes references.")
    price_per_gpu_hour: float | None = Field(None, ge=0, description="In any currency, for the cost in the report.")
    report: bool = Field(True, description="Write OUTPUT/report.html at the end, also of a run that stops.")
    log_file: Text | None = Field(None, description="Where Ray's messages go. Takes references.")
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="Serve metrics for Prometheus on this port while it runs; 0: a free one.",
    )
    metrics_host: Text | None = Field(None, description="Address to serve metrics on; default this machine's own.")
    schedule: Schedule | None = Field(None, description="When `imagegen schedule` starts the job.")
    notification: Notification | None = Field(None, description="A webhook that hears of each run.")
    contact_sheet: ContactSheet | None = Field(None, description="Also write a PDF of all pictures.")

    def batch_job(self) -> BatchJob:
        """Raises:
        InvalidJob: settings do not go together.
        """
        values = {
            name: getattr(self, name)
            for name in type(self).model_fields
            if name not in {*OUTSIDE, *ModelOptionFields.model_fields}
        }
        pool = Pool(**{name: values.pop(name) for name in Pool.__dataclass_fields__})
        return BatchJob(**values, pool=pool, options=self.options())


# What `pipelines.job.BatchJob` does not have: it is not of the dataset.
OUTSIDE = ("name", "metrics_port", "metrics_host", "schedule", "notification", "contact_sheet")


def name_from(stem: str) -> str:
    """A job's name from its file's: small letters, digits and hyphens, at most 50."""
    return re.sub(r"[^a-z0-9]+", "-", stem.lower())[:50].strip("-") or "job"
