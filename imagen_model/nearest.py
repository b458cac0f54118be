"""Which of the known words somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

ALIKE = 0.54  # of difflib's ratio: "fp16" is still near "float16"


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """What an error message ends with: "; did you mean imagen-small?", or nothing."""
    plain = {word.lower().replace("_", "-"): word for word in known}
    close = difflib.get_close_matches(str(given).lower().replace("_", "-"), plain, 1, ALIKE)
    return f"; did you mean {plain[close[0]]}?" if close else ""
