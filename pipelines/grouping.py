"""Which of a shard's rows go to the model together.

A model runs on a fixed number of rows that share a shape and fills what is missing with copies. So rows that can share
a run are handed over together wherever they stand in the shard; the manifest has them in order all the same.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from imagen_model.generation import Generator, Grouping, InvalidRequest, RequestRules

from .work import Item


def batches_of(generator: Generator, items: Sequence[Item]) -> list[Sequence[Item]]:
    """The items as they are to be handed over: at most `batch_size` together, or one run of the model if that is more.

    Groups are begun in the order of their first rows. Each is cut into whole runs; what is left over of several groups
    is handed over together, but no group's is cut.
    """
    size = generator.batch_size
    if not isinstance(generator, Grouping):
        return cut(items, size)
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(key_of(generator, generator.rules, item), []).append(item)
    found: list[Sequence[Item]] = []
    left: list[Item] = []
    for key, group in groups.items():
        together = 1 if key is None else max(1, generator.group_size(key))
        most = max(together, size // together * together)
        full = len(group) // most * most
        found += cut(group[:full], most)
        rest = group[full:]
        if left and len(left) + len(rest) > size:
            found.append(left)
            left = []
        left = [*left, *rest]
    return [*found, left] if left else found


def key_of(generator: Grouping, rules: RequestRules, item: Item) -> Hashable:
    """None for what the model will refuse."""
    try:
        return generator.group_key(rules.resolve(item.request))
    except InvalidRequest:
        return None


def cut(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
