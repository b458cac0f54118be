"""What a command prints: results on standard output, words to a person on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

BEGUN = time.monotonic()  # of this process, nearly
# Ends the line that is being written over on a terminal, where there is one, so that words get a line of their own.
before_saying: Callable[[], None] | None = None


def say(text: str) -> None:
    if before_saying is not None:
        before_saying()
    print(text, file=sys.stderr)


def print_json(value: Any) -> None:
    print(json.dumps(value, default=str))
