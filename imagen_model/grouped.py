"""Any requests in, one result each out: those of one shape are drawn together, a refused one costs no neighbour."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from .generation import Failure, GenerationRequest, Grouping, InvalidRequest, RequestRules, Result


def generate_grouped(
    generator: Grouping,
    rules: RequestRules,
    requests: Sequence[GenerationRequest],
    draw: Callable[[list[int], list[GenerationRequest], Any], Sequence[Result]],
) -> list[Result]:
    """As `Generator.generate`.

    Args:
        draw: results for at most `group_size` requests of one group, from their indices, themselves (resolved) and
            their group's key. The size is asked for anew each time, for memory may have become less.
    """
    results: dict[int, Result] = {}
    groups: dict[Hashable, list[int]] = {}
    ready: dict[int, GenerationRequest] = {}
    for index, request in enumerate(requests):
        try:
            resolved = rules.resolve(request)
            groups.setdefault(generator.group_key(resolved), []).append(index)
            ready[index] = resolved
        except InvalidRequest as refusal:
            results[index] = Failure(refusal.code, refusal.message)
    for key, left in groups.items():
        while left:
            size = generator.group_size(key)
            chosen, left = left[:size], left[size:]
            results.update(zip(chosen, draw(chosen, [ready[index] for index in chosen], key), strict=True))
    return [results[index] for index in range(len(requests))]
