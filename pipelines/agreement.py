"""Whether a job continues the run that the output folder holds, and the readable difference where it does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from itertools import islice

from .errors import Difference, ForeignOutput, PlanMismatch
from .plan import PLAN, Plan, Segment, Settings, cut, load_plan
from .prompt_table import PlannedFile, PromptTable
from .storage import Store

OWN = (".run/",)  # may be there before the plan: an earlier try that was refused
SAME = "give the planned value, or another output folder"


def check_output(store: Store) -> bool:
    """Whether the output holds a run already.

    Raises:
        ForeignOutput: it holds other files.
    """
    if store.exists(PLAN):
        return True
    foreign = list(islice((found.key for found in store.list("") if not found.key.startswith(OWN)), 4))
    if foreign:
        shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise ForeignOutput(
            f"{store.url} is not empty and holds no run of this program ({shown}); give an empty or new folder"
        )
    return False


def planned_first(table: PromptTable, plan: Plan) -> PromptTable:
    """The table with the planned files first, in the plan's order: files that came later keep no row number."""
    by_name = {file.name: file for file in table.files}
    known = [by_name.pop(file.name) for file in plan.files if file.name in by_name]
    return dataclasses.replace(table, files=(*known, *by_name.values()))


def agree(stored: Plan, wanted: Plan, output: str, limit: int | None, shard_rows: int | None, chosen_rows: int) -> Plan:
    """The stored plan, extended to what is wanted now.

    Args:
        wanted: the plan of the job as it is now, its files in the order of `planned_first`.
        shard_rows: as the user gave it; None lets the stored one stand.
        chosen_rows: rows a shard for rows that are new.

    Raises:
        PlanMismatch: the job differs in a way that changes the output.
    """
    differences = [
        *settings_differences(stored.settings, wanted.settings),
        *mapping_differences("columns", stored.columns, wanted.columns, "restore the table's columns"),
        *mapping_differences("column of", stored.parts, wanted.parts, "restore the column names or the prompt column"),
        *file_differences(stored.files, wanted.files),
        *shard_differences(stored.segments, shard_rows),
    ]
    if differences:
        raise PlanMismatch(output, differences)
    rows = sum(file.rows for file in wanted.files)
    segments = cut(stored.segments, rows if limit is None else min(limit, rows), chosen_rows)
    return dataclasses.replace(wanted, segments=segments)


def settings_differences(stored: Settings, wanted: Settings) -> list[Difference]:
    found = []
    for field in dataclasses.fields(Settings):
        planned, now = getattr(stored, field.name), getattr(wanted, field.name)
        if field.name == "parameters":
            found += mapping_differences("parameters", planned, now, SAME)
        elif planned != now:
            found.append(Difference(field.name, repr(planned), repr(now), SAME))
    return found


def mapping_differences(
    field: str, stored: Mapping[str, object], wanted: Mapping[str, object], remedy: str
) -> list[Difference]:
    return [
        Difference(f"{field} {name}", shown(stored, name), shown(wanted, name), remedy)
        for name in sorted({*stored, *wanted})
        if stored.get(name) != wanted.get(name)
    ]


def shown(values: Mapping[str, object], name: str) -> str:
    return repr(values[name]) if name in values else "absent"


def file_differences(stored: tuple[PlannedFile, ...], wanted: tuple[PlannedFile, ...]) -> list[Difference]:
    """Planned files that are gone or changed. Files that are new are an extension, no difference."""
    now = {file.name: file for file in wanted}
    found = []
    for file in stored:
        other = now.get(file.name)
        if other is None:
            names = ", ".join(list(now)[:3])
            found.append(Difference("table", file.name, names, "restore the file, or give another output folder"))
        elif other != file:
            found.append(
                Difference(
                    f"table {file.name}",
                    describe(file),
                    describe(other),
                    "restore the file (new rows go into new files), or give another output folder",
                )
            )
    return found


def describe(file: PlannedFile) -> str:
    return f"{file.rows:,} rows, {file.size:,} bytes, sha256 {file.sha256[:12]}"


def shard_differences(segments: tuple[Segment, ...], shard_rows: int | None) -> list[Difference]:
    if shard_rows is None or shard_rows in {segment.shard_rows for segment in segments}:
        return []
    planned = ", ".join(str(segment.shard_rows) for segment in segments)
    return [Difference("shard_rows", planned, str(shard_rows), "leave it out: the planned shards stand")]


def stored_or_none(store: Store) -> Plan | None:
    return load_plan(store) if store.exists(PLAN) else None
