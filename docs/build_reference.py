"""Writes `docs/reference/*.md` from the code. `make docs` runs it; a test fails where a page is out of date.

python docs/build_reference.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

PAGES = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/build_reference.py from the code; change it there. -->\n\n"
WIDTH = 100


def command_line() -> str:
    """Every command's own `--help`."""
    import typer

    from jobs.cli import app

    text = (
        "# Command line\n\nExit codes: 0 all succeeded, 2 usage, 3 finished with failed rows, "
        "4 failure budget exceeded, 5 not finished (of status, verify and retry), 130 interrupted (run again), "
        "1 anything else.\n"
    )
    root = typer.main.get_command(app)
    return text + "".join(helps(root, "imagegen"))


def helps(command: Any, path: str, parent: Any = None) -> Iterator[str]:
    context = command.make_context(
        path.rpartition(" ")[2], [], parent=parent, resilient_parsing=True, max_content_width=WIDTH
    )
    context.terminal_width = WIDTH
    level = "##" if parent is None or path.count(" ") == 1 else "###"
    yield f"\n{level} {path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    for name, child in getattr(command, "commands", {}).items():
        yield from helps(child, f"{path} {name}", context)


def manifest() -> str:
    from pipelines.columns import ALIASES
    from pipelines.manifest_columns import FAILURES, columns

    text = (
        "# Tables\n\n## Prompt table\n\nOnly the prompt is needed. Of several columns that could play a part the first "
        "of this order is taken, in whatever case it is written; every column not named here passes through to the "
        "manifest.\n\n"
    )
    text += table(("part", "columns"), ((part, ", ".join(map(code, names))) for part, names in ALIASES.items()))
    text += (
        "\n## Manifest\n\n`manifest/00042.parquet`: one row an image, failures included; a shard's is written last, so "
        "that its existence means done. The last columns are there only in runs that use them; then follow the prompt "
        "table's own columns, with `input_` before a name that is taken.\n\n"
    )
    text += table(("column", "type", "meaning"), ((code(name), kind, words) for name, kind, words in columns()))
    text += "\n## Failures\n\n"
    return text + table(("error_code", "meaning"), ((code(str(key)), words) for key, words in FAILURES.items()))


def job_file() -> str:
    from jobs.job_files.schema import job_schema

    schema = job_schema()
    text = (
        "# Job files\n\nThe schema for editors is `jobs/specs/job.schema.json`; how files are used is "
        "[a page of its own](../how-to/job-files.md). Only `prompts` and `output` must be there.\n\n"
    )
    text += job_settings(schema)
    for name in ("Schedule", "Notification", "ContactSheet"):
        section = schema["$defs"][name]
        key = next(key for key, field in schema["properties"].items() if name in json.dumps(field.get("anyOf", [])))
        text += f"\n## {key}\n\n{section['description']}\n\n" + job_settings(section)
    return text


def job_settings(schema: dict[str, Any]) -> str:
    def default(field: dict[str, Any]) -> str:
        return "" if field.get("default") is None else code(json.dumps(field["default"]))

    return table(
        ("setting", "type", "default", "meaning"),
        (
            (code(name), field_type(field), default(field), field["description"])
            for name, field in schema["properties"].items()
        ),
    )


def http_api() -> str:
    """Of a server of `imagen-small`, which `/openapi.json` describes."""
    from pipelines.online.openapi import REASONS

    description = openapi()
    body = description["paths"]["/v1/images/generations"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    text = (
        "# HTTP API\n\n`imagegen serve` speaks OpenAI's Images, Files and Batches API. Its `/openapi.json` is narrower "
        "than this page: it names the sizes and parameters of the model that it serves. Errors are always "
        '`{"error": {"message", "type", "param", "code"}}`.\n\n## Fields of a request for pictures\n\n'
    )
    fields = (
        (code(name), field_type(field), field.get("description", "")) for name, field in body["properties"].items()
    )
    text += table(("field", "type", "meaning"), fields) + "\n## Routes\n\n"
    routes = [(f"{method.upper()} {path}", route["responses"]) for path, methods in description["paths"].items()
              for method, route in methods.items()]  # fmt: skip
    text += table(
        ("route", "answer", "refusals"),
        (
            (code(name), said["200"]["description"], ", ".join(key for key in said if key != "200"))
            for name, said in routes
        ),
    )
    return text + "\n## Refusals\n\n" + table(("status", "meaning"), REASONS.items())


def openapi() -> dict[str, Any]:
    from imagen_model.catalog import find_model
    from pipelines.online.app import create_app
    from pipelines.online.batches.api import Batches
    from pipelines.online.keys import Keys
    from pipelines.online.service import Backend, ServedModel, Service
    from pipelines.online.settings import ServeSettings

    model = find_model("imagen-small")
    served = ServedModel(model.name, model.revision, model.rules, frozenset({model.name}), 0)
    # The description is made without a request, so nothing stands behind the service.
    service = Service(ServeSettings(), served, Keys((), None), cast(Backend, None))
    batches = Batches(service, cast(Any, None), cast(Any, None))
    return create_app(service, batches).openapi()


def field_type(field: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    choices = [choice for choice in field.get("anyOf", [field]) if choice.get("type") != "null"]
    return " or ".join(dict.fromkeys(one_type(choice) for choice in choices)) or "not this model's"


def one_type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return "section"
    if "enum" in schema or "const" in schema:
        values = [value for value in schema.get("enum", [schema.get("const")]) if value is not None]
        return ", ".join(code(json.dumps(value)) for value in values)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    span = "" if low is None else f", {low:,} to {schema['maximum']:,}" if "maximum" in schema else f", from {low:,}"
    return f"{schema.get('type', 'any')}{span}"


def code(text: str) -> str:
    return f"`{text}`"


def table(header: tuple[str, ...], rows: Any) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


WRITERS: dict[str, Callable[[], str]] = {
    "command-line.md": command_line,
    "tables.md": manifest,
    "job-file.md": job_file,
    "http-api.md": http_api,
}


def main() -> None:
    PAGES.mkdir(exist_ok=True)
    for name, write in WRITERS.items():
        PAGES.joinpath(name).write_text(NOTE + write())


if __name__ == "__main__":
    main()
