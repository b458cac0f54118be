"""Every kind of thing there is, with its outlines."""

from __future__ import annotations

from .animal_kinds import ANIMALS
from .outlines import Part
from .plain_kinds import FIGURES, PLANTS, SKY
from .thing_kinds import HOUSEHOLD, VEHICLES

OUTLINES: dict[str, tuple[Part, ...]] = {**FIGURES, **SKY, **PLANTS, **ANIMALS, **VEHICLES, **HOUSEHOLD}
KINDS = tuple(OUTLINES)
# fmt: off
SYMMETRIC = frozenset((
    *FIGURES, "sun", "tree", "mushroom", "pear", "rabbit", "butterfly", "octopus", "rocket",
    "bottle", "table", "lamp", "book", "clock", "crown", "ice cream", "hat",
))
# fmt: on
