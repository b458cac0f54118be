"""From a file's text and the flags beside it to settings that hold together; every mistake at once, with its line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imagen_model.nearest import did_you_mean
from pipelines.credential_files import credential_files
from pipelines.encoding import Encoder
from pipelines.errors import InvalidJob
from pipelines.job import BatchJob

from .lines import Document, Mistake, Place, read_document
from .references import REFERENCED, BadReference, RunContext
from .settings import JobFile, name_from

SIGNING = ("c2pa_certificate", "c2pa_key")


class InvalidJobFile(InvalidJob):
    """A job file, or the flags beside it, cannot be used. `mistakes` are all that can be told at once."""

    def __init__(self, source: str, mistakes: list[Mistake]) -> None:
        self.mistakes = sorted(mistakes, key=lambda mistake: mistake.line or 0)
        super().__init__(f"{source} cannot be used:\n" + "\n".join(f"  {mistake}" for mistake in self.mistakes))


@dataclass(frozen=True, slots=True)
class LoadedJob:
    """A job file that is right by itself, or the draft of one.

    Args:
        path: None where there was none, only flags.
        text: of the file.
        flags: names of the settings that were given beside it, and are taken as they are.
        mistakes: of a draft; then `settings` are those that are right, with the defaults of the others.
    """

    path: Path | None
    text: str
    document: Document
    settings: JobFile
    flags: frozenset[str]
    mistakes: tuple[Mistake, ...] = ()

    @property
    def name(self) -> str:
        return self.settings.name or name_from(self.path.stem if self.path else "job")

    @property
    def wrong(self) -> frozenset[str]:
        """Settings that mistakes are about."""
        return frozenset(str(mistake.place[0]) for mistake in self.mistakes if mistake.place)

    def resolved(self, context: RunContext) -> JobFile:
        """The settings with their references put in. Raises InvalidJobFile."""
        job = self.with_references(context)
        if job.mistakes:
            raise InvalidJobFile(self.source, list(job.mistakes))
        return job.settings

    def with_references(self, context: RunContext) -> LoadedJob:
        """The same with references put in; a draft where that cannot be done."""
        values = self.settings.model_dump()
        mistakes = list(self.mistakes)
        for place in REFERENCED:
            section = values if len(place) == 1 else values[place[0]]
            if section is None or section[place[-1]] is None or place[0] in self.flags | self.wrong:
                continue
            try:
                section[place[-1]] = context.resolve(section[place[-1]])
            except BadReference as problem:
                mistakes.append(self.mistake(place, str(problem)))
        return replace(self, settings=JobFile(**values), mistakes=tuple(mistakes))

    def mistake(self, place: Place, message: str) -> Mistake:
        return Mistake(place, f"{'.'.join(map(str, place))}: {message}", self.document.line(place))

    @property
    def source(self) -> str:
        return f"the job file {self.path}" if self.path else "the settings"


def load_job(path: Path | None, flags: Mapping[str, Any] | None = None) -> LoadedJob:
    """The file's settings, with the flags that were given (not None) in their place.

    Raises:
        InvalidJobFile: it cannot be read, or settings are unknown, missing, wrong, or do not go together.
    """
    job = draft_job(path, flags)
    if job.mistakes:
        raise InvalidJobFile(job.source, list(job.mistakes))
    return job


def draft_job(path: Path | None, flags: Mapping[str, Any] | None = None) -> LoadedJob:
    """The same with its mistakes, so that others can be looked for too.

    Raises:
        InvalidJobFile: it is no YAML, or holds no settings.
        InvalidJob: it cannot be read.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    source = f"the job file {path}" if path else "the settings"
    text = ""
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            raise InvalidJob(f"cannot read the job file {path}: {problem}") from problem
    document = read_document(text) if path is not None else Document({}, {}, ())
    if not document.values and document.mistakes:
        raise InvalidJobFile(source, list(document.mistakes))
    # A flag stands in no line.
    lines = {place: line for place, line in document.lines.items() if place[0] not in given}
    document = replace(document, lines=lines)
    values = {**document.values, **given}
    mistakes = list(document.mistakes)
    try:
        JobFile(**values)
    except ValidationError as problem:
        mistakes += field_mistakes(problem, document)
    wrong = {mistake.place[0] for mistake in mistakes if mistake.place}
    mistakes += together({name: value for name, value in values.items() if name not in wrong}, document)
    mistakes += bad_references({name: value for name, value in values.items() if name not in given}, document)
    wrong = {mistake.place[0] for mistake in mistakes if mistake.place}
    if wrong & {*SIGNING}:  # the one says nothing without the other
        wrong |= {*SIGNING}
    right = {name: value for name, value in values.items() if name not in wrong}
    settings = JobFile(**{"prompts": "x", "output": "x"} | right)
    return LoadedJob(path, text, document, settings, frozenset(given), tuple(mistakes))


def field_mistakes(problem: ValidationError, document: Document) -> Iterator[Mistake]:
    for error in problem.errors():
        place: Place = error["loc"]
        name = ".".join(map(str, place))
        line = document.line(place)
        match error["type"]:
            case "missing":
                line = document.line(place[:-1])
                message = f"{name} is missing; give it as an argument or in the job file"
                if len(place) > 1:
                    message = f"{name} is missing"
            case "extra_forbidden":
                message = f"{name} is no setting; {known_names(place)}"
            case "value_error":
                message = f"{name}: {error['ctx']['error']}"
            case "literal_error":
                known = re.findall(r"'([^']*)'", error["ctx"]["expected"])
                got = f"got {error['input']!r:.80}{did_you_mean(error['input'], known)}"
                message = f"{name}: {lower_first(error['msg'])}, {got}"
            case _:
                message = f"{name}: {lower_first(error['msg'])}, got {error['input']!r:.80}"
        yield Mistake(place, message, line)


def known_names(place: Place) -> str:
    model: Any = JobFile
    for key in place[:-1]:
        # An optional section's annotation is `Section | None`.
        model = model.model_fields[str(key)].annotation.__args__[0]
    close = difflib.get_close_matches(str(place[-1]), model.model_fields, 1)
    if close:
        return f"is {close[0]} meant?"
    return f"known are: {', '.join(model.model_fields)}"


def lower_first(text: str) -> str:
    text = re.sub(r"^Input should be", "it must be", text)
    return text[:1].lower() + text[1:]


def together(values: Mapping[str, Any], document: Document) -> Iterator[Mistake]:
    """What is wrong only beside another setting.

    Args:
        values: that are right by themselves.
    """

    def said(check: Callable[[], object], *place: str) -> Iterator[Mistake]:
        try:
            check()
        except InvalidJob as problem:
            yield Mistake(place, str(problem), document.line(place))

    picture = {name: values[name] for name in ("image_format", "quality") if name in values}
    yield from said(lambda: Encoder(**{"image_format": "png", **picture}), "quality")
    size = {name: values[name] for name in ("size", "width", "height") if name in values}
    yield from said(lambda: BatchJob("x", "x", **size), "size")
    pair = [name for name in SIGNING if values.get(name) is not None]
    yield from said(lambda: credential_files(*map(values.get, SIGNING)), *pair[:1])
    schedule = values.get("schedule")
    if isinstance(schedule, dict) and (schedule.get("cron") is None) == (schedule.get("every") is None):
        both = "both given; give one of the two" if schedule.get("cron") else "both missing; give one of the two"
        yield Mistake(("schedule",), f"schedule.cron and schedule.every are {both}", document.line(("schedule",)))


def bad_references(values: Mapping[str, Any], document: Document) -> Iterator[Mistake]:
    """References that are none, whatever the environment holds."""
    context = RunContext("2000-01-01", "run", None)
    for place in REFERENCED:
        text: Any = values
        for key in place:
            text = text.get(key) if isinstance(text, Mapping) else None
        if isinstance(text, str):
            try:
                context.resolve(text)
            except BadReference as problem:
                yield Mistake(place, f"{'.'.join(place)}: {problem}", document.line(place))
