"""Whether a job continues the run that the output folder holds, and the readable difference where it does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import islice

from .errors import Difference, ForeignOutput, PlanMismatch
from .job import BatchJob
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


def agree(stored: Plan, wanted: Plan, job: BatchJob, table: PromptTable, chosen_rows: int) -> Plan:
    """The stored plan, extended to what is wanted now.

    Args:
        wanted: the plan of the job as it is now, the stored plan's files first.
        table: that `wanted` was made of.
        chosen_rows: rows a shard for rows that are new.

    Raises:
        PlanMismatch: the job differs in a way that changes the output, or has new files and `job.extend` is off.
    """
    changed = file_differences(stored.files, wanted.files)
    differences = [
        *settings_differences(stored.settings, wanted.settings),
        *format_differences(stored, wanted),
        *column_differences(stored, wanted, table),
        *mapping_differences("column of", stored.parts, wanted.parts, "restore the column names or the prompt column"),
        *(changed or ([] if job.extend else growth(stored.files, wanted.files))),
        *shard_differences(stored.segments, job.shard_rows),
    ]
    if differences:
        raise PlanMismatch(job.output, differences)
    segments = cut(stored.segments, table.rows if job.limit is None else min(job.limit, table.rows), chosen_rows)
    return dataclasses.replace(wanted, segments=segments)


def settings_differences(stored: Settings, wanted: Settings) -> list[Difference]:
    found = []
    for field in dataclasses.fields(Settings):
        planned, now = getattr(stored, field.name), getattr(wanted, field.name)
        if field.name in ("parameters", "options"):
            found += mapping_differences(field.name, planned, now, SAME)
        elif planned != now:
            found.append(Difference(field.name, repr(planned), repr(now), SAME))
    return found


def format_differences(stored: Plan, wanted: Plan) -> list[Difference]:
    if stored.output_format == wanted.output_format:
        return []
    remedy = "give the planned value, another output folder, or convert the finished run with `imagegen export`"
    return [Difference("output_format", stored.output_format, wanted.output_format, remedy)]


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


def column_differences(stored: Plan, wanted: Plan, table: PromptTable) -> list[Difference]:
    """Columns that the finished manifests lack or hold as another type, with the new file that brings each.

    A new file that lacks a column is no difference: its rows are read with nulls there.
    """
    old = {file.name for file in stored.files}
    new = [file for file in table.files if file.name not in old]
    found = []
    for name in sorted({*stored.columns, *wanted.columns}):
        planned, now = shown(stored.columns, name), shown(wanted.columns, name)
        if planned == now:
            continue
        brings = {file.name: str(file.schema.field(name).type) for file in new if name in file.schema.names}
        late = next((file for file, kind in brings.items() if kind != stored.columns.get(name)), None)
        remedy = "restore the table's columns"
        if late is not None:
            now = f"{brings[late]!r} in {late}"
            remedy = f"write {late} with the columns and types of the files before it, or give another output folder"
        found.append(Difference(f"columns {name}", planned, now, remedy))
    return found


def growth(stored: Sequence[PlannedFile], wanted: Sequence[PlannedFile]) -> list[Difference]:
    """The files that came after the plan."""
    known = {file.name for file in stored}
    new = [file.name for file in wanted if file.name not in known]
    if not new:
        return []
    named = ", ".join(new[:5]) + (f" and {len(new) - 5:,} more" if len(new) > 5 else "")
    return [
        Difference(
            "table",
            f"{len(stored):,} file{'s' * (len(stored) != 1)}",
            f"also {named}",
            "give --extend (in a job file `extend: true`) to go on with the new files; what is finished stays as it is",
        )
    ]


def file_differences(stored: tuple[PlannedFile, ...], wanted: tuple[PlannedFile, ...]) -> list[Difference]:
    """Planned files that are gone or changed."""
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
