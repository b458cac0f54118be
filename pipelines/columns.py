"""Which column of a prompt table plays which part, by the names that neighbouring systems use."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import NoPromptColumn

NEAR = 0.72  # of difflib's ratio: "guidance" is still near "guidance_scale"

# In order of preference, compared without case: the first of a part that a table has is taken.
ALIASES: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "text", "caption"),
    "id": ("id", "custom_id", "uid", "key"),
    "negative_prompt": ("negative_prompt",),
    "seed": ("seed",),
    "width": ("width",),
    "height": ("height",),
    "size": ("size",),
    "num_inference_steps": ("num_inference_steps", "steps"),
    "guidance_scale": ("guidance_scale", "cfg_scale", "cfg"),
    "top_k": ("top_k",),
    "top_p": ("top_p",),
    "temperature": ("temperature",),
    "best_of": ("best_of",),
    "post_processing": ("post_processing",),
    "grey_image": ("grey_image", "gray_image"),
    "n": ("n",),
    "model": ("model",),
}


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """The parts of a table's columns.

    Args:
        parts: part (a key of `ALIASES`) -> the table's column.
        others: columns that pass through to the manifest, in the table's order.
    """

    parts: dict[str, str]
    others: tuple[str, ...]

    def wanted(self) -> list[str]:
        """Every column that is read."""
        return [*self.parts.values(), *self.others]


def map_columns(names: Sequence[str], prompt_column: str | None = None) -> ColumnMap:
    """Give each column its part.

    Args:
        names: the table's columns.
        prompt_column: the column that holds the prompts, where it is not called by one of the aliases.

    Raises:
        NoPromptColumn: there is none; the message lists what there is.
    """
    if prompt_column is not None and prompt_column not in names:
        raise NoPromptColumn(
            f"the table has no column {prompt_column!r}; its columns are: {listed(names)}; "
            "give one of them as the prompt column"
        )
    parts: dict[str, str] = {} if prompt_column is None else {"prompt": prompt_column}
    for part, aliases in ALIASES.items():
        for alias in aliases:
            column = next((name for name in names if name.lower() == alias and name not in parts.values()), None)
            if column is not None and part not in parts:
                parts[part] = column
    if "prompt" not in parts:
        raise NoPromptColumn(
            f"no column holds the prompts: known names are {', '.join(ALIASES['prompt'])} (in any case), the table "
            f"has: {listed(names)}; rename one or name it as the prompt column"
        )
    taken = set(parts.values())
    return ColumnMap(parts, tuple(name for name in names if name not in taken))


def doubtful(columns: ColumnMap) -> list[tuple[str, str]]:
    """Columns that pass through, though their names are nearly those of a part that the table lacks, each with the
    name that would make it that part."""
    lacking = {alias: aliases[0] for part, aliases in ALIASES.items() if part not in columns.parts for alias in aliases}
    found = []
    for column in columns.others:
        name = re.sub(r"\W+", "_", column.strip().lower())
        close = difflib.get_close_matches(name, lacking, 1, NEAR)
        found += [(column, lacking[alias]) for alias in close]
    return found


def listed(names: Sequence[str]) -> str:
    """At most 30 names, for a message."""
    shown = ", ".join(repr(name) for name in names[:30])
    return f"{shown} and {len(names) - 30} more" if len(names) > 30 else shown
