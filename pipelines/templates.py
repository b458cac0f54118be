"""Prompt templates in dynamicprompts' syntax, expanded by that library.

    {red|blue} ball   {2$$ and $$a|b|c}   {0.2::rare|common}   __animal__   ${x=!{a|b}} ${x} and ${x}

Every random choice comes from the seed, the template and the prompt's place among the template's: neither the other
templates nor how many prompts are wanted change one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from .errors import InvalidJob

if TYPE_CHECKING:
    from dynamicprompts.commands import Command
    from dynamicprompts.wildcards import WildcardManager

COMBINATORIAL, RANDOM = "combinatorial", "random"


class BadTemplate(Exception):
    """Why a template has no prompts."""


class Expander:
    """Args:
        mode: `combinatorial` (every combination, each once) or `random` (without end).
        seed: of all random choices.
        wildcards: folder of the files that `__name__` stands for: .txt (a value a line), .yaml or .json.

    Raises:
        InvalidJob: the library or the folder is missing, or the mode is not known.
    """

    def __init__(self, mode: str, seed: int, wildcards: str | None) -> None:
        if mode not in (COMBINATORIAL, RANDOM):
            raise InvalidJob(f"mode must be {COMBINATORIAL} or {RANDOM}, got {mode!r}")
        if wildcards is not None and not Path(wildcards).expanduser().is_dir():
            raise InvalidJob(f"{wildcards} is no folder; give the folder of the wildcards' files")
        self.mode, self.seed = mode, seed
        self.wildcards = wildcard_manager(wildcards, weighted=mode == RANDOM)

    def prompts(self, template: str) -> Iterator[str]:
        """The template's prompts, white space squashed; without end in random mode.

        Raises:
            BadTemplate: it cannot be read, or names a wildcard or variable that is not there.
        """
        from dynamicprompts.enums import SamplingMethod
        from dynamicprompts.sampling_context import SamplingContext

        command = parsed(template)
        draws = Random()
        mode = SamplingMethod(self.mode)

        def begun() -> Iterator[str]:
            context = SamplingContext(mode, self.wildcards, ignore_whitespace=True, rand=draws)
            return map(str, context.sample_prompts(command))

        # A variable that is assigned at once (`${x=!{a|b}}`) is drawn when a run of prompts begins, so that each
        # random prompt begins one; but cycling choices (`{@a|b}`) only count on within one.
        anew = self.mode == RANDOM and "{@" not in template and "__@" not in template
        try:
            found = begun()
            for variant in count():
                draws.seed(self.draw(template, variant))
                prompt = next(begun() if anew else found, None)
                if prompt is None:
                    return
                yield prompt
        except RecursionError:
            raise BadTemplate("a wildcard or variable stands for itself; break the circle") from None
        except KeyError as error:
            raise BadTemplate(f"{error.args[0]}; assign it: ${{name={{a|b}}}}") from None
        except (ValueError, RuntimeError, NotImplementedError) as error:
            raise BadTemplate(f"it cannot be expanded: {error!s:.200}") from None

    def draw(self, template: str, variant: int) -> int:
        key = f"{self.seed}\n{variant}\n{template}".encode("utf-8", "backslashreplace")
        return int.from_bytes(hashlib.sha256(key).digest()[:8], "big")


def parsed(template: str) -> Command:
    """Raises:
    BadTemplate: with the place from which on it cannot be read.
    """
    from dynamicprompts.parser.parse import parse
    from pyparsing import ParseException

    if template.count("{") != template.count("}"):  # the library takes a lone closing brace for text
        counts = f"{template.count('{')} opening and {template.count('}')} closing braces"
        raise BadTemplate(f"it has {counts}; close each one that is opened")
    try:
        return parse(template)
    except ParseException as error:
        rest = template[error.loc : error.loc + 20]
        message = f"it cannot be read from character {error.loc + 1} on: {rest!r}"
        raise BadTemplate(f"{message}; in a template $, %, {{, }} and __ have a meaning of their own") from None
    except RecursionError:
        raise BadTemplate("its braces are nested too deeply; use variables or wildcards") from None


def wildcard_manager(folder: str | None, weighted: bool) -> WildcardManager:
    """Args:
        weighted: keep the values' weights. Combinations would else repeat or drop values by them.

    Raises:
        InvalidJob: dynamicprompts is not installed.
    """
    try:
        from dynamicprompts.wildcards import WildcardManager
        from dynamicprompts.wildcards.values import WildcardValues
    except ImportError as error:
        raise InvalidJob(
            f"expanding templates needs dynamicprompts ({error}); run pip install '.[expand]' in imagegen's folder"
        ) from None

    class Known(WildcardManager):
        """Refuses a wildcard without values, which the library would leave as it stands, without end."""

        def get_values(self, wildcard: str) -> WildcardValues:
            values = super().get_values(wildcard)
            if not values:
                place = f"in {folder}" if folder else "without a folder of wildcards"
                raise BadTemplate(f"there is no value for the wildcard {self.to_wildcard(wildcard)!r:.80} {place}")
            return values if weighted else WildcardValues.from_items(values.string_values)

    return Known(Path(folder).expanduser() if folder is not None else None)
