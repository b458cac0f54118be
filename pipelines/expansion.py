"""One pass over a table of templates: the rows of its prompt table, and every template that is broken."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, islice, repeat
from typing import Any

import pyarrow as pa

from .errors import EmptyTable, TableError
from .manifest import solid
from .prompt_table import PromptTable
from .rows import id_text
from .shard_reader import Piece, Shard, read_shard
from .templates import COMBINATORIAL, BadTemplate, Expander
from .text_lines import INVALID
from .work import rows_of

MOST_MISTAKES = 20
READ = 4096  # templates in memory
OWN = pa.schema(
    [("prompt", pa.string()), ("template", pa.string()), ("template_number", pa.int64()), ("variant", pa.int64())]
)
PREFIX = "input_"  # of another column whose name is one of these

Row = dict[str, Any]


class Expansion:
    """Args:
        most: rows in all; each: rows of one template, None for any number.
        first_line: of a file's rows, where each is a line; for messages.

    Attributes:
        schema: of the rows: `prompt`, `template`, `template_number` (from 1), `variant` (from 0, of the template),
            then the table's other columns.
        read, made: templates and rows so far.
        cut: number of the first template with more prompts than were wanted.
    """

    def __init__(
        self, table: PromptTable, expander: Expander, most: int, each: int | None, first_line: int | None = None
    ) -> None:
        self.table, self.expander, self.first_line = table, expander, first_line
        self.most, self.each = most, each or most
        self.column = table.columns.parts["prompt"]
        self.passed = passed_names([name for name in table.schema.names if name not in (self.column, INVALID)])
        self.id_name = self.passed.get(table.columns.parts.get("id", ""))
        types = {new: solid(table.schema.field(name).type) for name, new in self.passed.items()}
        if self.id_name is not None:
            types[self.id_name] = pa.string()
        self.schema = pa.schema([*OWN, *types.items()])
        self.mistakes: list[str] = []
        self.read = self.made = 0
        self.cut: int | None = None

    def rows(self) -> Iterator[Row]:
        """Raises:
        TableError: with the first mistakes, once every template was tried.
        """
        for (number, cells), share in zip(self.templates(), self.shares(), strict=False):
            if self.made == self.most:
                self.cut = self.cut or number
                break
            self.read += 1
            try:
                yield from self.rows_of_template(number, cells, min(share, self.most - self.made))
            except BadTemplate as error:
                self.mistakes.append(f"{self.place_of(number)}: {error}")
        if self.mistakes:
            raise TableError("\n".join(shortened(self.mistakes)))
        if not self.read:
            raise EmptyTable("there is no template: every line is blank or a comment; write one a line")

    def rows_of_template(self, number: int, cells: Row, share: int) -> Iterator[Row]:
        if cells.get(INVALID) is not None:
            raise BadTemplate(str(cells[INVALID]))
        template = cells[self.column]
        if not isinstance(template, str):
            raise BadTemplate(f"a template must be text, got {type(template).__name__} {template!r:.80}")
        found = self.expander.prompts(template)
        kept = {new: cells[name] for name, new in self.passed.items()}
        for variant, prompt in enumerate(islice(found, 1 if self.mistakes else share)):
            self.made += 1
            own: Row = {"prompt": prompt, "template": template, "template_number": number, "variant": variant}
            if self.id_name is not None and kept[self.id_name] is not None:
                own[self.id_name] = f"{id_text(kept[self.id_name])}-{variant}"  # seeds are made of ids
            yield kept | own
        if self.expander.mode == COMBINATORIAL and self.cut is None and next(found, None) is not None:
            self.cut = number

    def templates(self) -> Iterator[tuple[int, Row]]:
        """(number from 1, cells) of every row but blank ones and comments."""
        ends = list(accumulate(file.rows for file in self.table.files))
        for start in range(0, self.table.rows, READ):
            stop = min(start + READ, self.table.rows)
            pieces = []
            for file, end in zip(self.table.files, ends, strict=True):
                low, high = max(start, end - file.rows), min(stop, end)
                if low < high:
                    pieces.append(Piece(file.url, low - (end - file.rows), high - low))
            for row, cells in rows_of(read_shard(Shard(0, start, stop, tuple(pieces)), self.table.schema)):
                template = cells[self.column]
                blank = template is None or (isinstance(template, str) and is_comment(template))
                if not blank or cells.get(INVALID) is not None:
                    yield row + 1, cells

    def shares(self) -> Iterator[int]:
        """Most rows of each template in turn: in random mode, whose templates have no end, an even part of all."""
        if self.expander.mode == COMBINATORIAL:
            yield from repeat(self.each)
        count = sum(1 for _ in self.templates())
        for index in range(count):
            yield min(self.each, self.most // count + (index < self.most % count))

    def place_of(self, number: int) -> str:
        """As a message names it, in its own file."""
        first = 0
        for file in self.table.files:
            if number <= first + file.rows:
                inside = number - first
                return f"{file.name}, " + (
                    f"row {inside}" if self.first_line is None else f"line {inside + self.first_line - 1}"
                )
            first += file.rows
        raise AssertionError(number)


def passed_names(names: list[str]) -> dict[str, str]:
    """The names in the prompt table of the other columns of the templates' table."""
    found: dict[str, str] = {}
    for name in names:
        new = name
        while new in OWN.names or new in found.values():
            new = PREFIX + new
        found[name] = new
    return found


def is_comment(template: str) -> bool:
    return not template.strip() or template.lstrip().startswith("#")


def shortened(mistakes: list[str]) -> list[str]:
    more = len(mistakes) - MOST_MISTAKES
    return [*mistakes[:MOST_MISTAKES], *([f"and {more:,} more"] if more > 0 else [])]
