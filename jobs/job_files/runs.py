"""One run of a job file: what it is called, of which day it is, and whether this machine has what it names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from imagen_model.catalog import ModelNotFound
from imagen_model.generation import PARAMETERS, GenerationRequest, InvalidRequest, RequestRules
from pipelines.batch import source_of
from pipelines.content_credentials import check_credentials
from pipelines.encoding import Encoder
from pipelines.errors import InvalidJob, TableError
from pipelines.table_files import TableFiles

from .lines import Mistake
from .reading import InvalidJobFile, LoadedJob
from .references import RunContext
from .settings import JobFile

PATHS = ("prompts", "output", "log_file")
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def new_context(
    job: LoadedJob, environment: Mapping[str, str], date: str | None = None, run_id: str | None = None
) -> RunContext:
    """Of a run that begins now, or that goes on where `date` and `run_id` are given.

    Args:
        date: a day, or the moment at which the run was due: then its id is made of that too.

    Raises:
        InvalidJob: they cannot be used.
    """
    schedule = job.settings.schedule
    planned = datetime.now(UTC)
    if date is not None and "T" in date:
        planned, date = moment(date), None
    if date is not None and re.fullmatch(r"\d{4}-\d{2}-\d{2}", date) is None:
        raise InvalidJob(f"a run's date is like 2026-11-25, got {date!r}")
    if run_id is not None and RUN_ID.fullmatch(run_id) is None:
        raise InvalidJob(f"a run id has 1 to 128 letters, digits, dots, hyphens and underscores, got {run_id!r}")
    day = planned.astimezone(ZoneInfo(schedule.time_zone) if schedule else UTC).date().isoformat()
    return RunContext(date or day, run_id or run_id_at(job.name, planned), environment)


def moment(text: str) -> datetime:
    """Raises:
    InvalidJob: it is none, or has no time zone.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidJob(f"a run's moment is like 2026-11-25T01:30:00Z, got {text!r}")
    return found


def run_id_at(name: str, planned: datetime) -> str:
    """The run id of the run that is due at the moment: the same whenever it is asked for."""
    return f"{name}-{planned.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def check_here(job: LoadedJob, settings: JobFile) -> None:
    """Whether the model is there and takes the parameters, the prompts are there, the certificate can sign, and a
    secret that is named is set.

    Args:
        settings: the job's, resolved.

    Raises:
        InvalidJobFile: with every mistake.
        PipelineError: a store or server does not answer.
    """
    mistakes = list(mistakes_here(job, settings))
    if mistakes:
        raise InvalidJobFile(job.source, mistakes)


def all_mistakes(job: LoadedJob, environment: Mapping[str, str]) -> list[Mistake]:
    """Of a draft: its own, and those of its other settings here."""
    job = job.with_references(new_context(job, environment))
    return [*job.mistakes, *mistakes_here(job, job.settings)]


def mistakes_here(job: LoadedJob, settings: JobFile) -> Iterator[Mistake]:
    """As `check_here`, of the settings that no mistake is known of."""
    place = "model" if settings.endpoint is None else "endpoint"
    try:
        batch = settings.batch_job()
    except InvalidJob as problem:  # settings that do not go together, of which the server's is the one to leave out
        yield job.mistake((place,), str(problem))
        return
    if not job.wrong & {"model", "endpoint"}:
        try:
            source = source_of(batch)
        except (ModelNotFound, InvalidJob) as problem:
            yield job.mistake((place,), str(problem))
        else:
            for name, message in not_taken(source.rules, batch.parameters()):
                yield job.mistake((name,), message)
    if "prompts" not in job.wrong:
        try:
            TableFiles(settings.prompts, settings.input_format)
        except (TableError, InvalidJob) as problem:
            yield job.mistake(("prompts",), str(problem))
    try:
        check_credentials(batch.credential_files, Encoder(settings.image_format, settings.quality))
    except InvalidJob as problem:
        name = "c2pa_key" if str(problem).startswith("c2pa_key") else "c2pa_certificate"
        yield job.mistake((name,), str(problem).removeprefix(f"{name}: "))
    for name, message in wrong_notification(settings):
        yield job.mistake(("notification", name), message)


def not_taken(rules: RequestRules, parameters: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Each setting that the model does not take, and why."""
    size = {name: parameters[name] for name in ("width", "height")}
    given = {name: value for name, value in parameters.items() if value is not None and name not in size}
    tried = [("size", size), *((name, {name: value}) for name, value in given.items() if name in PARAMETERS)]
    tried += [(name, {name: given[name]}) for name in ("negative_prompt",) if name in given]
    if "post_processing" in given:  # what it may do depends on the picture's size
        tried.append(("post_processing", {**size, "post_processing": given["post_processing"]}))
    wrong_size = False
    for name, values in tried:
        if wrong_size and "width" in values:
            continue
        try:
            rules.resolve(GenerationRequest(prompt="x", seed=0, **values))  # type: ignore[arg-type]
        except InvalidRequest as refusal:
            wrong_size = wrong_size or name == "size"
            yield name, refusal.message


def wrong_notification(settings: JobFile) -> Iterator[tuple[str, str]]:
    notification = settings.notification
    if notification is None:
        return
    if not notification.url.startswith(("http://", "https://")):
        yield "url", "it must begin with https:// or http://"
    if notification.secret_env is not None and not os.environ.get(notification.secret_env):
        yield "secret_env", f"the environment variable {notification.secret_env} is not set; set it to the secret"


def unreachable(settings: JobFile) -> Iterator[tuple[str, str]]:
    """Each setting whose path means something only on this machine, and why."""
    named = [(name, value) for name in PATHS if (value := getattr(settings, name)) is not None]
    if settings.model.startswith((".", "~")) or Path(settings.model).is_dir():  # else bundled, or a hub id
        named.append(("model", settings.model))
    for name, value in named:
        if not value.startswith(("/", "$")) and "://" not in value:
            yield name, f"{value} must be a URL, or an absolute path that every node has"
    files = [("c2pa_certificate", settings.c2pa_certificate), ("c2pa_key", settings.c2pa_key)]
    for name, file in [*files, *(("lora", file) for file in settings.lora)]:
        if file is not None and not file.startswith("/"):
            yield name, f"{file} must be an absolute path that every node has"
