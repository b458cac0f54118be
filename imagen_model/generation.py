"""The one verb: requests in, one result for each request out, in order.

Everything that makes images stands behind `Generator`; batch jobs and servers are thin shells around
one instance of it. This module needs nothing but Pillow, so that a driver or a `--help` can import it
without paying for torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from PIL import Image

from .post_processing import MAX_UPSCALED, NAMES, Upscale, parse_steps

MAX_SEED = 2**32 - 1
MAX_PROMPT_CHARACTERS = 10_000
MAX_SIDE = 8192
MAX_BEST_OF = 16


class ErrorCode(StrEnum):
    """Why a row has no image. The value is what the manifest's `error_code` column holds."""

    EMPTY_PROMPT = "empty_prompt"
    PROMPT_TOO_LONG = "prompt_too_long"
    INVALID_SIZE = "invalid_size"
    INVALID_PARAMETER = "invalid_parameter"
    INVALID_ROW = "invalid_row"
    OUT_OF_MEMORY = "out_of_memory"
    GENERATION_FAILED = "generation_failed"
    ENCODE_FAILED = "encode_failed"
    UPLOAD_FAILED = "upload_failed"
    WORKER_DIED = "worker_died"
    CONTENT_FILTERED = "content_filtered"  # by the model's own safety checker: the row is not failed but filtered


class InvalidRequest(ValueError):
    """A request that cannot be built or that a model does not take; `code` says of what kind it is."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One picture to be made. Cannot be built wrong; `None` means the model's own default.

    Args:
        prompt: 1 to 10,000 characters, not only white space, no control characters but tab and newline.
        seed: 0 to 2**32 - 1; every random draw for this picture comes from it.
        negative_prompt: what guidance steers away from; same rules as `prompt`, may be empty.
        width, height: pixels, 1 to 8192. Which sizes a model takes, `RequestRules` says.
        num_inference_steps: 1 to 1000, for models that sample in steps.
        guidance_scale: 0 to 100; 1 is no guidance.
        top_k: 0 (off) to 65,536, for models that sample from a categorical distribution.
        top_p: greater than 0, at most 1.
        temperature: 0 (most likely value always) to 10.
        best_of: 1 to 16 candidates, of which the one is kept that the model finds most likely for the prompt.
        post_processing: steps for the finished picture, such as "denoise, sharpen=0.8, upscale=512x512".

    Raises:
        InvalidRequest: a value is of the wrong type or outside its range; the message names the value,
            the limit and the remedy.
    """

    prompt: str
    seed: int
    negative_prompt: str | None = None
    width: int | None = None
    height: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    temperature: float | None = None
    best_of: int | None = None
    post_processing: str | None = None

    def __post_init__(self) -> None:
        check_text("prompt", self.prompt)
        if not self.prompt.strip():
            raise InvalidRequest(ErrorCode.EMPTY_PROMPT, "prompt is empty or only white space; give at least one word")
        if self.negative_prompt is not None:
            check_text("negative_prompt", self.negative_prompt)
        bad = ErrorCode.INVALID_PARAMETER
        check_integer("seed", self.seed, 0, MAX_SEED, bad)
        for name in ("width", "height"):
            check_integer(name, getattr(self, name), 1, MAX_SIDE, ErrorCode.INVALID_SIZE)
        check_integer("num_inference_steps", self.num_inference_steps, 1, 1000, bad)
        check_integer("top_k", self.top_k, 0, 65_536, bad)
        check_number("guidance_scale", self.guidance_scale, 0.0, 100.0, bad)
        check_number("top_p", self.top_p, 0.0, 1.0, bad)
        check_number("temperature", self.temperature, 0.0, 10.0, bad)
        if self.top_p == 0:
            raise InvalidRequest(bad, "top_p must be greater than 0 and at most 1, got 0; use 1 to turn it off")
        check_integer("best_of", self.best_of, 1, MAX_BEST_OF, bad)
        check_steps(self.post_processing)


def check_text(name: str, value: object) -> None:
    """Refuse what is not text, is too long, or holds characters that no person typed."""
    if not isinstance(value, str):
        raise InvalidRequest(ErrorCode.INVALID_ROW, f"{name} must be text, got {type(value).__name__}")
    if len(value) > MAX_PROMPT_CHARACTERS:
        raise InvalidRequest(
            ErrorCode.PROMPT_TOO_LONG,
            f"{name} has {len(value):,} characters, at most {MAX_PROMPT_CHARACTERS:,} are taken; shorten it",
        )
    for position, character in enumerate(value):
        code_point = ord(character)
        control = (code_point < 32 and character not in "\t\n\r") or 127 <= code_point < 160
        if control or 0xD800 <= code_point < 0xE000:
            raise InvalidRequest(
                ErrorCode.INVALID_ROW,
                f"{name} has the control character U+{code_point:04X} at position {position}; remove it",
            )


def check_integer(name: str, value: object, low: int, high: int, code: ErrorCode) -> None:
    if value is None and name != "seed":
        return
    # bool is an int in Python, but a row with seed=True is a mistake.
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequest(code, f"{name} must be a whole number from {low} to {high}, got {value!r:.80}")
    if not low <= value <= high:
        raise InvalidRequest(code, f"{name} must be from {low} to {high}, got {value}")


def check_number(name: str, value: object, low: float, high: float, code: ErrorCode) -> None:
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidRequest(code, f"{name} must be a number from {low:g} to {high:g}, got {value!r:.80}")
    if not low <= value <= high:  # also refuses NaN
        raise InvalidRequest(code, f"{name} must be from {low:g} to {high:g}, got {value}")


def check_steps(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise InvalidRequest(
            ErrorCode.INVALID_PARAMETER, f"post_processing must be text such as 'denoise', got {value!r:.80}"
        )
    try:
        parse_steps(value)
    except ValueError as error:
        raise InvalidRequest(ErrorCode.INVALID_PARAMETER, f"post_processing: {error}") from None


PARAMETERS = ("num_inference_steps", "guidance_scale", "top_k", "top_p", "temperature", "best_of")


@dataclass(frozen=True, slots=True)
class SizeRange:
    """Any width and height in pixels from `least` to `most` that are multiples of `multiple_of`."""

    multiple_of: int
    least: int
    most: int

    def holds(self, width: int, height: int) -> bool:
        return all(self.least <= side <= self.most and side % self.multiple_of == 0 for side in (width, height))

    def __str__(self) -> str:
        return f"any multiple of {self.multiple_of} from {self.least} to {self.most} pixels a side"


@dataclass(frozen=True, slots=True)
class RequestRules:
    """Which requests a model takes, known from its configuration before any weight is loaded.

    Args:
        sizes: the (width, height) pairs in pixels that the model makes; the first is the default.
        defaults: value of each parameter that the model has; a parameter not named here is refused.
        limits: the largest value of a parameter where the model's own limit is lower than the general one; `upscale`
            is the largest side in pixels that this step may make.
        takes_negative_prompt: whether `negative_prompt` means something to the model.
        post_processing: names of the steps that its pictures can go through.
        size_range: further sizes that it makes; `sizes` are then those that people use.
    """

    sizes: tuple[tuple[int, int], ...]
    defaults: dict[str, int | float]
    limits: dict[str, int | float] = dataclasses.field(default_factory=dict)
    takes_negative_prompt: bool = True
    post_processing: tuple[str, ...] = NAMES
    size_range: SizeRange | None = None

    def makes(self, width: int, height: int) -> bool:
        """Whether pictures of this size are made."""
        return (width, height) in self.sizes or (self.size_range is not None and self.size_range.holds(width, height))

    def resolve(self, request: GenerationRequest) -> GenerationRequest:
        """`request` with every default filled in.

        Raises:
            InvalidRequest: the model does not make that size or has no such parameter.
        """
        width, height = self.sizes[0]
        width, height = request.width or width, request.height or height
        if not self.makes(width, height):
            known = ", ".join(f"{w}x{h}" for w, h in self.sizes)
            known = known if self.size_range is None else f"{self.size_range}, such as {known}"
            raise InvalidRequest(
                ErrorCode.INVALID_SIZE, f"size {width}x{height} is not one that this model makes; use one of: {known}"
            )
        if request.negative_prompt and not self.takes_negative_prompt:
            raise InvalidRequest(ErrorCode.INVALID_PARAMETER, "this model takes no negative_prompt; leave it out")
        self.check_post_processing(request.post_processing, width, height)
        values: dict[str, int | float | None] = {}
        for name in PARAMETERS:
            given = getattr(request, name)
            if given is not None and name not in self.defaults:
                known = ", ".join(self.defaults) or "none"
                raise InvalidRequest(
                    ErrorCode.INVALID_PARAMETER, f"this model has no parameter {name}; leave it out (it has: {known})"
                )
            limit = self.limits.get(name)
            if given is not None and limit is not None and given > limit:
                raise InvalidRequest(
                    ErrorCode.INVALID_PARAMETER, f"{name} must be at most {limit} for this model, got {given}"
                )
            values[name] = self.defaults.get(name) if given is None else given
        return dataclasses.replace(request, width=width, height=height, **values)  # type: ignore[arg-type]

    def check_post_processing(self, steps: str | None, width: int, height: int) -> None:
        bad = ErrorCode.INVALID_PARAMETER
        for step in parse_steps(steps) if steps is not None else ():
            if step.name not in self.post_processing:
                known = ", ".join(self.post_processing) or "none"
                raise InvalidRequest(bad, f"post_processing: {step.name} is not offered here; the steps are: {known}")
            if isinstance(step, Upscale):
                try:
                    step.check(width, height, int(self.limits.get("upscale", MAX_UPSCALED)))
                except ValueError as error:
                    raise InvalidRequest(bad, f"post_processing: {error}") from None


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
