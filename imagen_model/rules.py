"""Which requests a model takes, known from its configuration before any weight is loaded."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .post_processing import COLORIZE, FINISHING, MAX_UPSCALED, Upscale, parse_steps
from .refusals import ErrorCode, InvalidRequest
from .request import GenerationRequest

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
    post_processing: tuple[str, ...] = FINISHING
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
        grey = None if request.grey is None else request.grey.at_most(width, height)
        return dataclasses.replace(request, width=width, height=height, grey=grey, **values)  # type: ignore[arg-type]

    def check_post_processing(self, steps: str | None, width: int, height: int) -> None:
        bad = ErrorCode.INVALID_PARAMETER
        for step in parse_steps(steps) if steps is not None else ():
            if step.name not in self.post_processing:
                known = ", ".join(self.post_processing) or "none"
                why = "; it needs a model whose base is a pixel_decoder" if step.name == COLORIZE else ""
                raise InvalidRequest(
                    bad, f"post_processing: {step.name} is not offered here{why}; the steps are: {known}"
                )
            if isinstance(step, Upscale):
                try:
                    step.check(width, height, int(self.limits.get("upscale", MAX_UPSCALED)))
                except ValueError as error:
                    raise InvalidRequest(bad, f"post_processing: {error}") from None
