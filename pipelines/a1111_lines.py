"""Prompt lines as A1111's script "Prompts from file or textbox" takes them, as a prompt table.

A line that begins with `--` is options; any other line is a prompt. Where A1111 takes a line of options that it
does not understand for a prompt, the row is refused here, with the option's name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from .text_lines import INVALID, TEXT, Row, decode, lines

WORDS = {"prompt": "prompt", "negative_prompt": "negative_prompt"}  # their values go on to the next option
VALUES = {
    "seed": "seed",
    "steps": "num_inference_steps",
    "cfg_scale": "guidance_scale",
    "width": "width",
    "height": "height",
}
COUNTS = ("batch_size", "n_iter")  # their product is `n`
# Where A1111 keeps a picture and what it is called there: here the run decides.
PLACES = {"outpath_samples", "outpath_grids", "prompt_for_display", "do_not_save_samples", "do_not_save_grid"}
OFF = {"restore_faces": "false", "tiling": "false", "subseed_strength": "0"}  # taken at the value that changes nothing
SCHEMA = pa.schema(dict.fromkeys((*WORDS.values(), *VALUES.values(), "n"), TEXT))
TOLD = re.compile(rb"--(" + "|".join((*WORDS, *VALUES)).encode() + rb")\s")


class BadOption(ValueError):
    """Why a line's options cannot be taken."""


def is_a1111(open_file: Callable[[], Any]) -> bool:
    """Whether the file's first line that is not blank begins with one of the options that say what a picture is."""
    with open_file() as file:
        first = next((line for line in lines(file) if line.strip()), b"")
    return TOLD.match(first.lstrip()) is not None


def a1111_rows(open_file: Callable[[], Any]) -> Iterator[Row]:
    with open_file() as file:
        for line in lines(file):
            text, problem = decode(line)
            if problem is not None:
                yield {INVALID: problem}
                continue
            try:
                yield option_cells(text) if text.lstrip().startswith("--") else {"prompt": text}
            except BadOption as error:
                yield {INVALID: str(error)}


def option_cells(text: str) -> Row:
    """Every value as text, for `rows` to check as a CSV file's.

    Raises:
        BadOption: an option is not known, lacks its value, or asks for what this program does not do.
    """
    cells: Row = {}
    count: int | None = None
    for name, value in options(text):
        if name in WORDS:
            cells[name] = value
        elif name == "seed":
            cells["seed"] = None if value == "-1" else value  # A1111's "any seed"
        elif name in VALUES:
            cells[VALUES[name]] = value
        elif name in COUNTS:
            if not re.fullmatch(r"[1-9]\d{0,3}", value):
                raise BadOption(f"--{name} must be a whole number from 1, got {value!r:.80}; correct it")
            count = (count or 1) * int(value)
        elif name in OFF and value.lower() != OFF[name]:
            raise BadOption(f"--{name} {value:.80} is not offered here; give {OFF[name]}, or leave it out")
        elif name not in PLACES and name not in OFF:
            known = ", ".join(f"--{known}" for known in (*WORDS, *VALUES, *COUNTS))
            raise BadOption(f"option --{name:.80} is not offered here; leave it out (there are: {known})")
    return cells if count is None else cells | {"n": str(count)}


def options(text: str) -> Iterator[tuple[str, str]]:
    """(name, value) of each option, split as a shell's words."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadOption(f"the line's options cannot be read ({error}); put the prompt in quotation marks") from None
    place = 0
    while place < len(words):
        word = words[place]
        if not word.startswith("--"):
            raise BadOption(f"{word!r:.80} belongs to no option; put values with spaces in quotation marks")
        if place + 1 == len(words):
            raise BadOption(f"option {word:.80} has no value; give one, or leave it out")
        name, end = word[2:], place + 2
        while name in WORDS and end < len(words) and not words[end].startswith("--"):
            end += 1
        yield name, " ".join(words[place + 1 : end])
        place = end
