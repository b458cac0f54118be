"""What stands on the page, in words: the state, the key figures, the failures, the runs, the settings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from imagen_model.generation import ErrorCode
from imagen_model.open_models.options import shown

from ..errors import OWN_FAULT
from ..words import counted, cut, duration, number, ranges, seconds, size_of
from .runs import MOST_LANES, STEPS, RunView
from .survey import Survey

LISTED = 50  # rows of an error code in a table
MESSAGES = 5
FILES = 20
SHARES = {
    "start": "starting, until the first picture",
    "generate": "generating",
    "wait": "waiting for encoding or the store",
    "idle": "idle",
}
PARTS = {
    "load": "loading the model",
    "warm_up": "warming it up",
    "generate": "generating",
    "wait": "waiting",
    "encode": "encoding",
    "store": "storing",
    "commit": "committing",
}


# Of a run's start, in their order.
STARTUP = {"plan": "plan", "imports": "imports", "ray": "Ray", "first_image": "first image"}


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: str
    unit: str = ""
    note: str = ""
    kind: str = ""


def state_of(survey: Survey) -> dict[str, str]:
    plan = survey.plan
    left = plan.shards - len(survey.finished)
    if survey.running:
        return {"kind": "busy", "text": f"Running on {survey.running}"}
    if left:
        return {"kind": "error", "text": f"Not complete: {left:,} of {plan.shards:,} shards are missing"}
    if survey.census.failed:
        return {"kind": "busy", "text": f"Complete, {survey.census.failed:,} failed"}
    return {"kind": "good", "text": "Complete, nothing failed"}


def figures(survey: Survey, runs: Sequence[RunView]) -> list[Figure]:
    plan, census = survey.plan, survey.census
    good = census.succeeded
    share = f"{100 * census.failed / census.images:.2g} % of all" if census.failed else ""
    missing = f", in {len(survey.finished):,} of {plan.shards:,} shards" if len(survey.finished) < plan.shards else ""
    size, unit = size_of(census.bytes).split()
    found = [
        Figure("Pictures", f"{good:,}", note=f"of {plan.rows:,} rows{missing}"),
        Figure("Failed", f"{census.failed:,}", note=share, kind="error" if census.failed else ""),
        Figure("Size", size, unit, f"{size_of(census.bytes / good)} a picture" if good else ""),
    ]
    if runs:
        # A run that made nothing has no speed, and a few rows that were retried are no measure.
        fast = sorted((view for view in runs if view.images_per_second), key=lambda view: view.run.kind == "retry")
        if fast:
            which = "of the last run" if fast[0] is runs[0] else "of the last run that made whole shards"
            found.append(Figure("Speed", number(fast[0].images_per_second), "images/s", which))
        total = sum(view.seconds for view in runs)
        found.append(Figure("Time", duration(total), note=counted(len(runs), "run")))
        gpu_hours, costs = sum(view.gpu_hours for view in runs), [v.cost for v in runs if v.cost is not None]
        if costs and gpu_hours:
            per_image = f"{number(1000 * sum(costs) / good)} per 1,000 pictures" if good else ""
            found.append(Figure("Cost", f"{sum(costs):,.2f}", note=per_image))
        if gpu_hours:
            found.append(Figure("GPU-hours", number(gpu_hours)))
        else:
            hours = sum(view.worker_hours for view in runs)
            found.append(Figure("Workers' time", duration(3600 * hours), note="no GPU was used"))
    return found


def tabs(survey: Survey, runs: Sequence[RunView]) -> list[tuple[str, str, str]]:
    failed = survey.census.failed
    return [
        ("pictures", "Pictures", ""),
        ("failures", "Failures", f"{failed:,}" if failed else ""),
        ("runs", "Runs", f"{len(runs):,}" if len(runs) > 1 else ""),
        ("numbers", "Distributions", ""),
        ("settings", "Settings", ""),
    ]


def shown_note(survey: Survey) -> str:
    if survey.rows.num_rows == survey.census.images:
        return ""
    return (
        f"{survey.rows.num_rows:,} of {survey.census.images:,} rows are shown here: those of every "
        f"{round(len(survey.finished) / len(survey.shown))}th shard. The counts above and the failures are of all."
    )


def failure_group(survey: Survey, url: str, code: str, count: int) -> dict[str, Any]:
    rows = survey.failures.get(code, [])
    shapes: dict[str, list[str]] = {}
    for row in rows:
        shapes.setdefault(shape_of(row["error_message"] or ""), []).append(row["error_message"] or "")
    messages = sorted(((cut(same[0], 300), len(same)) for same in shapes.values()), key=lambda pair: -pair[1])
    first = f"the first {len(rows):,} of " if len(rows) < count else ""
    which = f"{first}the {count:,} rows" if count > 1 else "the row"
    table = f", with a table of {LISTED}" if len(rows) > LISTED else ""
    return {
        "code": code,
        "count": count,
        "advice": advice_of(code),
        "command": "" if code in OWN_FAULT else f"imagegen retry {shlex.quote(url)} --code {code}",
        "messages": messages[:MESSAGES],
        "numbers": ranges(row["row"] for row in rows),
        "listed": f"Number{'s' * (count > 1)} of {which}{table}",
        "rows": rows[:LISTED],
        "with_ids": any(row["id"] for row in rows[:LISTED]),
    }


def shape_of(message: str) -> str:
    """What messages that differ only in values have in common."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|\d+(\.\d+)?", "…", message)


def advice_of(code: str) -> str:
    if code in OWN_FAULT:
        return (
            "The rows themselves are wrong, and a retry would refuse them again. Write corrected rows into a new file "
            "of the prompt folder and run the job with `--extend`, or make them in another output."
        )
    if code == ErrorCode.WORKER_DIED:
        return "Each of these rows ended its worker's process, alone at work. A retry gives them one more chance."
    if code == ErrorCode.OUT_OF_MEMORY:
        return "Even alone these pictures did not fit into memory. Retry on a larger device, or ask for smaller ones."
    return "What hindered these rows may have passed: `retry` makes them again and leaves everything else as it is."


def run_context(view: RunView) -> dict[str, Any]:
    """The view's own fields, and what is drawn of them."""
    run = view.run
    top = max(*view.rates, view.images_per_second, 1e-9)
    points = "".join(
        f"L{index} {100 - 96 * rate / top:.2f}L{index + 1} {100 - 96 * rate / top:.2f}"
        for index, rate in enumerate(view.rates)
    )
    parts, start = [], 0.0
    for name, label in SHARES.items():
        width = 100 * min(view.shares[name], 1.0)
        parts.append({"name": name, "label": label, "start": start, "width": width})
        start += width
    return {field: getattr(view, field) for field in view.__slots__} | {
        "begun": datetime.fromtimestamp(run.begun, UTC),
        "sentence": sentence(view),
        "top": top,
        "area": f"M0 100{points}L{STEPS} 100Z",
        "mean": f"{100 - 96 * view.images_per_second / top:.2f}",
        "parts": parts,
        "seconds_by_part": [
            (label, view.spent[name]) for name, label in PARTS.items() if name != "warm_up" or view.spent[name]
        ],
        "most_seconds": max([*view.spent.values(), 1e-9]),
        "lanes_note": lanes_note(view),
    }


def sentence(view: RunView) -> str:
    run = view.run
    shards = counted(view.shards, "shard")
    made = f"{counted(view.images, 'image')} ({view.failed:,} failed) in {shards} and {seconds(view.seconds)}"
    each = f" with {run.gpus_per_worker:g} GPUs each" if run.gpus_per_worker else ""
    where = f" on {run.host}" if run.host else ""
    took = [(label, run.startup[part]) for part, label in STARTUP.items() if part in run.startup]
    startup = ", ".join(f"{label} {time:.1f} s" for label, time in took)
    killed = " It was killed, so its time is counted to its last finished shard." if view.outcome == "killed" else ""
    workers = counted(run.workers, "worker")
    return f"{made}, {workers}{each}, begun{where}.{killed}" + (f" Start: {startup}." if startup else "")


def lanes_note(view: RunView) -> str:
    note = "where a worker had a shard, and its model's busy share of the run"
    return note + (f"; {MOST_LANES} of {view.workers:,} workers" if view.workers > MOST_LANES else "")


def settings(survey: Survey, url: str) -> list[tuple[str, list[tuple[str, str]]]]:
    plan, chosen = survey.plan, survey.plan.settings
    parameters = {name: value for name, value in chosen.parameters.items() if value is not None}
    parts = ", ".join(f"{part} from {column!r}" for part, column in plan.parts.items())
    passed = survey.schema.names if survey.schema else ()
    files = [(cut(file.name, 120), f"{file.rows:,} rows, {size_of(file.size)}") for file in plan.files[:FILES]]
    if len(plan.files) > FILES:
        files.append(("…", f"{len(plan.files) - FILES:,} more files"))
    return [
        (
            "Model and parameters",
            [
                ("model", chosen.model),
                ("revision", chosen.model_revision),
                *((name, str(value)) for name, value in sorted(parameters.items())),
                *shown(chosen.options).items(),
                ("images a row", f"{chosen.images_per_prompt}, where a row names none"),
                ("job seed", f"{chosen.seed}, for rows without a seed"),
            ],
        ),
        (
            "Output",
            [
                ("folder", url),
                ("form", plan.output_format),
                ("picture format", chosen.image_format + (f", quality {chosen.quality}" if chosen.quality else "")),
                ("config fingerprint", chosen.fingerprint()),
            ],
        ),
        ("Table", [("prompts", plan.prompts), ("columns", parts), ("passed through", ", ".join(passed) or "none")]),
        ("Files", files),
    ]
