"""`imagegen expand`: templates in, a prompt table out."""

from __future__ import annotations

import dataclasses
from typing import Any

from pipelines.expanding import Expanded, ExpansionJob, expand

from .console import print_json, say
from .exit_codes import ExitCode


def expand_command(settings: dict[str, Any], as_json: bool) -> int:
    job = ExpansionJob(**settings)
    made = expand(job)
    if as_json:
        print_json(dataclasses.asdict(made))
    else:
        print(describe_expanded(made))
    if made.cut is not None:
        say(
            f"imagegen: the limits ended the prompts: template {made.cut:,} has more; "
            "give a higher --max-rows or --per-template for all of them"
        )
    return ExitCode.SUCCESS


def describe_expanded(made: Expanded) -> str:
    there = "" if made.written else " (it was there already)"
    return f"{made.output}: {made.rows:,} prompts of {made.templates:,} templates{there}"
