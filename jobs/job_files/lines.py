"""YAML whose every value knows its line, so that a mistake can be told with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Args:
    place: of the setting, from the outermost key inward.
    line: in the file, from 1; None for a flag, or where no line says it.
    """

    place: Place
    message: str
    line: int | None = None

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Document:
    """Args:
    values: the file's settings.
    lines: of each key and list item.
    mistakes: that the text has as YAML.
    """

    values: Mapping[str, Any]
    lines: Mapping[Place, int]
    mistakes: Sequence[Mistake]

    def line(self, place: Place) -> int | None:
        """Of the place, or of what is around it; pydantic's places go on with names of its own."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.lines:
                return self.lines[place[:length]]
        return None


def read_document(text: str) -> Document:
    """The one mapping that the text holds. What is wrong with it as YAML is among its mistakes."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        lines: dict[Place, int] = {}
        mistakes: list[Mistake] = []
        if not isinstance(node, yaml.MappingNode):
            return Document({}, {}, [Mistake((), "it must hold settings like `prompts: prompts.parquet`", 1)])
        walk(node, (), lines, mistakes)
        values = loader.construct_document(node)  # type: ignore[no-untyped-call]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        star = line is not None and re.search(r":\s*\*", [*text.splitlines(), ""][min(line - 1, text.count("\n"))])
        hint = "; a value that begins with * stands in quotes" if star else ""
        return Document({}, {}, [Mistake((), f"{error.problem}{hint}", line)])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return Document({}, {}, [Mistake((), f"it is not YAML ({error})")])
    finally:
        loader.dispose()
    return Document({str(name): value for name, value in values.items()}, lines, mistakes)


def walk(node: yaml.Node, place: Place, lines: dict[Place, int], mistakes: list[Mistake]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            line = key.start_mark.line + 1
            if inner in lines:
                # YAML itself would take the last and say nothing.
                mistakes.append(Mistake(inner, f"{key.value} is given twice, first in line {lines[inner]}", line))
            lines.setdefault(inner, line)
            walk(value, inner, lines, mistakes)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*place, index)] = value.start_mark.line + 1
            walk(value, (*place, index), lines, mistakes)
