"""References in a job file's paths: `{date}`, `{run_id}` and `${NAME}` of the environment.

One pass, and nothing in what is put in is looked at again. `{{`, `}}` and `$$` stand for `{`, `}` and `$`; a `$`
before anything but `{` or `$` is itself. Whatever else stands in braces is a mistake, and so is a variable that is
not set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Settings that take references, by their places in the file.
REFERENCED = (
    ("prompts",),
    ("output",),
    ("model",),
    ("endpoint",),
    ("ray_address",),
    ("log_file",),
    ("notification", "url"),
)
TOKEN = re.compile(r"\$\$|\{\{|\}\}|\$\{(?P<variable>[^{}]*)\}|\{(?P<name>[^{}]*)\}|\$\{|\{|\}")
ESCAPED = {"$$": "$", "{{": "{", "}}": "}"}
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def names_in(text: str) -> set[str]:
    """Those of `date` and `run_id` that the text refers to."""
    return {found["name"] for found in TOKEN.finditer(text) if found["name"] is not None}


class BadReference(ValueError):
    """A reference that is none, or has no value."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What one run's references stand for.

    Args:
        date: of the run's planned time in the schedule's time zone, as 2026-11-25.
        run_id: the same for every resumption of one run.
        environment: None while it is not known, as when the job is to run elsewhere: then any variable will do.
    """

    date: str
    run_id: str
    environment: Mapping[str, str] | None

    def resolve(self, text: str) -> str:
        """The text with its references put in. Raises BadReference."""
        return TOKEN.sub(lambda found: self.value(found), text)

    def value(self, found: re.Match[str]) -> str:
        token = found[0]
        if token in ESCAPED:
            return ESCAPED[token]
        if found["variable"] is not None:
            return self.variable(found["variable"])
        names: dict[str | None, Callable[[], str]] = {"date": lambda: self.date, "run_id": lambda: self.run_id}
        if found["name"] not in names:
            raise BadReference(
                f"{token} is no reference; known are {{date}}, {{run_id}} and ${{NAME}} of the environment "
                "(write {{ and }} for braces)"
            )
        return names[found["name"]]()

    def variable(self, name: str) -> str:
        if VARIABLE.fullmatch(name) is None:
            raise BadReference(f"${{{name}}} names no environment variable; write it like ${{BUCKET}}")
        if self.environment is None:
            return f"${{{name}}}"
        if name not in self.environment:
            raise BadReference(f"the environment variable {name} is not set; set it, or write the value itself")
        return self.environment[name]
