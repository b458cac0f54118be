"""What is asked for: one picture. A request that was built is one that some model can take; which, `rules` says."""

from __future__ import annotations

from dataclasses import dataclass

from .grey_picture import GreyPicture
from .post_processing import Colorize, parse_steps
from .refusals import ErrorCode, InvalidRequest

MAX_SEED = 2**32 - 1
MAX_PROMPT_CHARACTERS = 10_000
MAX_SIDE = 8192
MAX_BEST_OF = 16


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
        grey: the picture that the first step, `colorize`, gives its colours; there with this step and only then.

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
    grey: GreyPicture | None = None

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
        check_steps(self.post_processing, self.grey)


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


def check_steps(value: object, grey: object) -> None:
    if grey is not None and not isinstance(grey, GreyPicture):
        raise InvalidRequest(ErrorCode.INVALID_ROW, f"grey must be a GreyPicture, got {type(grey).__name__}")
    if value is None and grey is None:
        return
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(
            ErrorCode.INVALID_PARAMETER, f"post_processing must be text such as 'denoise', got {value!r:.80}"
        )
    try:
        steps = parse_steps(value) if value is not None else ()
        wanted = any(isinstance(step, Colorize) for step in steps)
        if wanted and grey is None:
            raise ValueError("colorize needs a grey picture; give one, or leave the step out")
        if grey is not None and not wanted:
            raise ValueError("there is a grey picture but no step that takes it; write colorize first")
    except ValueError as error:
        raise InvalidRequest(ErrorCode.INVALID_PARAMETER, f"post_processing: {error}") from None
