"""`imagegen serve`: settings in, a server that runs until it is told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipelines.calibrating import settled
from pipelines.content_credentials import check_server_credentials
from pipelines.errors import InvalidJob
from pipelines.job import Pool
from pipelines.stage import Source
from pipelines.steps import step
from pipelines.weights import find_source

from .console import say
from .exit_codes import ExitCode
from .job_files.lines import Document
from .job_files.reading import InvalidJobFile, field_mistakes
from .progress_line import Line

if TYPE_CHECKING:
    from pipelines.online.running import Running
    from pipelines.online.settings import ServeSettings


def serve_command(flags: dict[str, Any], host: str, port: int, anonymous: bool, log_file: str | None) -> int:
    try:
        from pipelines.online.running import check_address
        from pipelines.online.settings import ServeSettings
    except ModuleNotFoundError as error:
        raise InvalidJob(f"{error.name} is not installed; run pip install '.[serve]' in imagegen's folder") from error
    try:
        settings = ServeSettings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as problem:
        raise InvalidJobFile("the settings", list(field_mistakes(problem, Document({}, {}, ())))) from None
    check_server_credentials(settings.credential_files)
    port = check_address(settings, host, port, anonymous)
    try:
        with Line() as line, prepared(settings, host, port, log_file) as (source, server), until_told() as told:
            line.end_line()
            print(f"imagegen: {source.name} listens on {server.url} (Ctrl-C stops it)", flush=True)
            server.wait(told)
            say("imagegen: stopping; requests in flight are finished (Ctrl-C again drops them)")
            finished = server.drain(settings.deadline)
    except KeyboardInterrupt:
        say("imagegen: interrupted")
        return ExitCode.INTERRUPTED
    if not finished:
        say("imagegen: stopped; some requests may not have been finished")
    return ExitCode.SUCCESS if finished else ExitCode.ERROR


@contextmanager
def prepared(settings: ServeSettings, host: str, port: int, log_file: str | None) -> Iterator[tuple[Source, Running]]:
    """The model and a server of it that is up. Raises as `find_source` and `server_running`."""
    from pipelines.online.running import server_running

    step(f"reading the model {settings.model}")
    options = settled(settings.model, settings.options(), Pool(device=settings.device))
    source = find_source(settings.model, options)
    with server_running(settings, source, host, port, log_file) as server:
        yield source, server


@contextmanager
def until_told() -> Iterator[threading.Event]:
    """Set by the first SIGINT or SIGTERM; the second interrupts whatever is done then."""
    told = threading.Event()

    def tell(number: int, frame: Any) -> None:
        if told.is_set():
            raise KeyboardInterrupt
        told.set()

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
