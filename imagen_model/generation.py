"""The one verb: requests in, one result for each request out, in order.

Everything that makes images stands behind `Generator`; batch jobs and servers are thin shells around
one instance of it. This module needs nothing but Pillow, so that a driver or a `--help` can import it
without paying for torch. Requests and rules are modules of their own, and are imported from here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from PIL import Image

from .grey_picture import GreyPicture
from .refusals import ErrorCode, InvalidRequest
from .request import MAX_BEST_OF, MAX_PROMPT_CHARACTERS, MAX_SEED, MAX_SIDE, GenerationRequest
from .rules import PARAMETERS, RequestRules, SizeRange

__all__ = [
    "MAX_BEST_OF",
    "MAX_PROMPT_CHARACTERS",
    "MAX_SEED",
    "MAX_SIDE",
    "PARAMETERS",
    "ErrorCode",
    "Failure",
    "GenerationRequest",
    "Generator",
    "GreyPicture",
    "Grouping",
    "InvalidRequest",
    "RequestRules",
    "Result",
    "SizeRange",
    "Success",
    "Watchable",
    "Watcher",
]


@dataclass(frozen=True, slots=True)
class Success:
    """A picture and the seconds of model time that it cost (a batch's time shared by its members)."""

    image: Image.Image
    seconds: float


@dataclass(frozen=True, slots=True)
class Failure:
    """No picture, and why; `message` is for the person who wrote the row."""

    code: ErrorCode
    message: str


Result = Success | Failure


class Generator(Protocol):
    """Whatever makes pictures.

    Attributes:
        batch_size: how many requests to hand over at a time for the best speed. It never changes a picture.
        rules: what the model takes.
    """

    batch_size: int
    rules: RequestRules

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Result]:
        """One result for each of any number of requests, in order; never raises for a request's sake.

        Requests need not be resolved. Memory running out is raised as `MemoryError` or
        `torch.OutOfMemoryError` only when a single request does not fit either.
        """
        ...


@runtime_checkable
class Grouping(Protocol):
    """A generator that knows which requests gain from being computed together; servers batch by it."""

    def group_key(self, request: GenerationRequest) -> Hashable:
        """Equal for requests that can share a batch. `request` is resolved.

        Raises:
            InvalidRequest: the model does not take it, for a reason that `rules` cannot see (too many tokens).
        """
        ...

    def group_size(self, key: Hashable) -> int:
        """How many requests of this group fill one run of the model; more gain nothing."""
        ...


# Told of a picture while it is drawn: the share that is done (0 to 1), and a call that paints what there is.
# Called in the thread that generates, so it must be quick and must not raise.
Watcher = Callable[[float, Callable[[], Image.Image]], None]


@runtime_checkable
class Watchable(Generator, Protocol):
    """A generator that can show pictures while they are drawn."""

    def generate_watched(self, requests: Sequence[GenerationRequest], watchers: Mapping[int, Watcher]) -> list[Result]:
        """As `Generator.generate`; `watchers` by the index of their request. They change no picture."""
        ...
