"""What a command prints: results on standard output, words to a person on standard error."""

from __future__ import annotations

import json
import sys
from typing import Any


def say(text: str) -> None:
    print(text, file=sys.stderr)


def print_json(value: Any) -> None:
    print(json.dumps(value, default=str))
