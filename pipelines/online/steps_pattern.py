"""The regular expression of all post-processing that a model takes for pictures of one size."""

from __future__ import annotations

from itertools import permutations

from imagen_model.generation import RequestRules
from imagen_model.post_processing import COLORIZE, MAX_SHARPEN, MAX_UPSCALED, SPACES

GAP = f"[{SPACES}]*"


def steps_pattern(rules: RequestRules, width: int, height: int, colorize: bool = False) -> str | None:
    """None where the model takes no step at all. Each step is there at most once, so every order is spelled out.

    Args:
        colorize: it comes first; without, it is not there.
    """
    largest = int(rules.limits.get("upscale", MAX_UPSCALED))
    known = {"denoise": "denoise", "sharpen": f"sharpen={amount()}"}
    if max(width, height) <= largest:
        known["upscale"] = f"upscale={numbers(width, largest)}x{numbers(height, largest)}"
    taken = [pattern for name, pattern in known.items() if name in rules.post_processing]
    first = [COLORIZE] if colorize else []
    least = 0 if colorize else 1
    orders = [[*first, *order] for count in range(least, len(taken) + 1) for order in permutations(taken, count)]
    if not orders:
        return None
    return "^(" + "|".join(GAP + f"{GAP},{GAP}".join(order) + GAP for order in orders) + ")$"


def amount() -> str:
    """0 to `MAX_SHARPEN`, with at most two decimals."""
    whole = int(MAX_SHARPEN)
    return rf"([0-{whole - 1}](\.[0-9]{{1,2}})?|{whole}(\.0{{1,2}})?)"


def numbers(low: int, high: int) -> str:
    """The whole numbers from `low` (at least 1) to `high`, without leading zeros."""
    parts = []
    for digits in range(len(str(low)), len(str(high)) + 1):
        first, last = max(low, 10 ** (digits - 1)), min(high, 10**digits - 1)
        parts.append(alike(str(first), str(last)))
    return "(" + "|".join(parts) + ")"


def alike(low: str, high: str) -> str:
    """The numbers from `low` to `high`, which have as many digits."""
    if low == high:
        return low
    rest = len(low) - 1
    if set(low[1:]) <= {"0"} and set(high[1:]) <= {"9"}:
        return f"[{low[0]}-{high[0]}]" + "[0-9]" * rest
    if low[0] == high[0]:
        return low[0] + alike(low[1:], high[1:])
    parts = [low[0] + alike(low[1:], "9" * rest), high[0] + alike("0" * rest, high[1:])]
    if int(high[0]) - int(low[0]) > 1:
        parts.append(f"[{int(low[0]) + 1}-{int(high[0]) - 1}]" + "[0-9]" * rest)
    return "(" + "|".join(parts) + ")"
