"""What a run spent on a shard, for reports. It stands in the footer of the shard's manifest.

So it is there if and only if the shard is, whatever was killed, and costs no object of its own. A retry adds its own
pass to those before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

PASSES = b"imagegen.passes"  # key in a manifest's footer


@dataclass(slots=True)
class Pass:
    """Args:
    run: id of the run, which `.run/history` tells more of.
    worker: host and process.
    begun, made: Unix times between which the worker's model had the shard; those of one worker do not overlap.
    images, failed: made in this pass, failures included; failures among them.
    seconds: generate (the model at work), wait (for room behind it: encoding or the store is slower than the model),
        encode and store (of threads beside the model), commit (making the shard durable), load (of the model, by the
        worker's first shard only).
    """

    run: str
    worker: str
    begun: float = 0.0
    made: float = 0.0
    images: int = 0
    failed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


def passes_text(passes: Sequence[Pass]) -> str:
    return json.dumps([asdict(each) for each in passes], sort_keys=True)


def passes_of(metadata: Mapping[bytes, bytes] | None) -> list[Pass]:
    """Of a manifest's footer; none where an earlier version or another program wrote it."""
    stated = (metadata or {}).get(PASSES)
    if stated is None:
        return []
    try:
        return [Pass(**each) for each in json.loads(stated)]
    except (ValueError, TypeError):
        return []
