"""One row of the table becomes its requests, or the reason why not. Nothing here raises for a row's sake."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from imagen_model.generation import (
    MAX_SEED,
    PARAMETERS,
    ErrorCode,
    Failure,
    GenerationRequest,
    InvalidRequest,
    RequestRules,
)

from .columns import ColumnMap
from .grey_images import grey_picture
from .text_lines import INVALID

MAX_IMAGES = 100  # a row
MAX_ID = 1000  # characters
SIDES = ("width", "height")
INTEGERS = ("seed", "width", "height", "num_inference_steps", "top_k", "best_of")
NUMBERS = ("guidance_scale", "top_p", "temperature")
TEXTS = ("negative_prompt", "post_processing")
WHOLE = re.compile(r"[+-]?\d{1,18}(\.0{1,9})?")
DECIMAL = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?")
SIZE = re.compile(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*")

Cell = object  # whatever Arrow or JSON can hold


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the job says for every row that does not say it itself.

    Args:
        model: the name of the model really used, and what users may call it in a `model` column.
        seed: of the job, from which a row without its own seed gets one.
        images: for each row, 1 to 100.
        parameters: width, height, negative_prompt, num_inference_steps, ...; None or absent is the model's own.
    """

    model: tuple[str, ...]
    seed: int = 0
    images: int = 1
    parameters: Mapping[str, object] = field(default_factory=dict)


def derived_seed(job_seed: int, row_id: str | None, row: int, image_index: int) -> int:
    """The seed of an image whose row names none: the first 4 bytes of a sha256, big-endian.

    It depends on the id where the row has one, so that it moves with the row when the table is shuffled or
    cut; two rows of one id therefore share their seeds. Changing this changes every picture made without a seed.
    """
    key = f"row {row}" if row_id is None else f"id {row_id}"
    digest = hashlib.sha256(f"{job_seed}\n{key}\n{image_index}".encode("utf-8", "backslashreplace")).digest()
    return int.from_bytes(digest[:4], "big")


def requests_of(
    cells: Mapping[str, Cell],
    row: int,
    columns: ColumnMap,
    defaults: Defaults,
    rules: RequestRules,
    folder: str = ".",
) -> list[GenerationRequest] | Failure:
    """The row's requests, one an image, every default filled in; or why there are none.

    Args:
        cells: the row's values by column.
        row: its number in the table, from 0.
        folder: that paths of grey pictures are relative to.

    Raises:
        StoreUnavailable: as `grey_images.grey_picture`; of no row's sake.
    """
    try:
        if cells.get(INVALID) is not None:
            raise InvalidRequest(ErrorCode.INVALID_ROW, str(cells[INVALID]))
        given = {part: cells.get(column) for part, column in columns.parts.items()}
        check_model(given.get("model"), defaults.model)
        count = image_count(given.get("n"), defaults.images)
        settings = row_settings(given, defaults.parameters)
        first = settings.pop("seed", None)
        row_id = id_text(given.get("id"))
        prompt = prompt_text(given.get("prompt"))
        settings["grey"] = grey_picture(given.get("grey_image"), folder)
        requests: list[GenerationRequest] = []
        for index in range(count):
            seed = derived_seed(defaults.seed, row_id, row, index) if first is None else first
            request = GenerationRequest(prompt=prompt, seed=seed, **settings)  # type: ignore[arg-type]
            if first is not None and index:
                request = replace(request, seed=(request.seed + index) % (MAX_SEED + 1))
            requests.append(rules.resolve(request))
        return requests
    except InvalidRequest as refusal:
        return Failure(refusal.code, refusal.message)


def known_settings(
    cells: Mapping[str, Cell], row: int, columns: ColumnMap, defaults: Defaults, rules: RequestRules
) -> dict[str, object]:
    """Of a row that is refused, the seed, size and parameters that its first picture would have had, as far as each is
    right by itself. Arguments as of `requests_of`."""
    if cells.get(INVALID) is not None:
        return {}
    given = {part: cells.get(column) for part, column in columns.parts.items()}
    known: dict[str, object] = {}
    for together in (("width", "height", "size"), *((part,) for part in (*INTEGERS, *NUMBERS) if part not in SIDES)):
        parts = {part: given[part] for part in together if part in given}
        try:
            found = row_settings(parts, {part: defaults.parameters.get(part) for part in together})
            GenerationRequest(prompt="x", **{"seed": 0, **found})  # type: ignore[arg-type]
        except InvalidRequest:
            continue
        known |= found
        if together == ("seed",) and not found:
            known["seed"] = derived_seed(defaults.seed, id_text(given.get("id")), row, 0)
    try:
        whole = rules.resolve(GenerationRequest(prompt="x", **{"seed": 0, **known}))  # type: ignore[arg-type]
    except InvalidRequest:
        return known
    return {name: getattr(whole, name) for name in (*SIDES, *PARAMETERS)} | known


def prompt_text(value: Cell) -> str:
    if missing(value) or value == "":
        raise InvalidRequest(ErrorCode.EMPTY_PROMPT, "prompt is missing; give at least one word")
    text = decoded(value, "prompt")
    if not isinstance(text, str):
        raise InvalidRequest(
            ErrorCode.INVALID_ROW, f"prompt must be text, got {type(value).__name__} {text!r:.80}; write it as text"
        )
    return text


def decoded(value: Cell, name: str) -> Cell:
    """Text that Parquet holds as bytes, as some writers do."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            ErrorCode.INVALID_ROW,
            f"{name} is not UTF-8 (byte 0x{value[error.start]:02X} at {error.start}); re-encode it",
        ) from None


def id_text(value: Cell) -> str | None:
    """The id as text; None where the row has none."""
    if missing(value) or value == "":
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))  # a whole number that pandas made a float because another row has none
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    return str(value)[:MAX_ID]


def missing(value: Cell) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))  # pandas writes NaN for "none"


def row_settings(given: Mapping[str, Cell], defaults: Mapping[str, object]) -> dict[str, object]:
    """The row's own values over the job's; an empty cell means the job's."""
    own: dict[str, object] = {}
    for part, value in given.items():
        if missing(value) or (isinstance(value, str) and not value.strip()):
            continue
        if part in INTEGERS:
            own[part] = whole_number(value)
        elif part in NUMBERS:
            own[part] = number(value, part)
        elif part in TEXTS:
            own[part] = decoded(value, part)
        elif part == "size":
            own["width"], own["height"] = sides(value, given)
    if ("width" in own) != ("height" in own):
        lone = own.get("width", own.get("height"))
        own["width"] = own["height"] = lone  # one side alone means a square
    return {name: value for name, value in {**defaults, **own}.items() if value is not None}


def sides(value: Cell, given: Mapping[str, Cell]) -> tuple[int, int]:
    match = SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        meant = size_meant(str(value))
        raise InvalidRequest(ErrorCode.INVALID_SIZE, f"size must be WIDTHxHEIGHT like 64x64, got {value!r:.80}{meant}")
    width, height = int(match[1]), int(match[2])
    for name, side in (("width", width), ("height", height)):
        other = given.get(name)
        if not missing(other) and other != "" and whole_number(other) != side:
            raise InvalidRequest(
                ErrorCode.INVALID_SIZE, f"size {value} and {name} {other!r:.80} disagree; give one of the two"
            )
    return width, height


def size_meant(text: str) -> str:
    """From "64", "64 by 64" or "64*64" to what an error message ends with."""
    numbers = re.findall(r"\d{1,5}", text[:80])
    return f"; did you mean {numbers[0]}x{numbers[-1]}?" if 1 <= len(numbers) <= 2 else ""


def check_model(value: Cell, names: tuple[str, ...]) -> None:
    if missing(value) or value == "" or value in names:
        return
    raise InvalidRequest(
        ErrorCode.INVALID_PARAMETER,
        f"model {value!r:.80} is not this job's model ({names[0]}); run a job with that model, or leave the cell empty",
    )


def image_count(value: Cell, default: int) -> int:
    if missing(value) or value == "":
        return default
    count = whole_number(value)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_IMAGES:
        raise InvalidRequest(
            ErrorCode.INVALID_PARAMETER,
            f"n must be a whole number from 1 to {MAX_IMAGES}, got {value!r:.80}; correct it",
        )
    return count


def whole_number(value: Cell) -> Cell:
    """An int where the value is one in another dress (12.0, "12"); anything else as it is, to be refused by name."""
    if isinstance(value, Decimal):
        value = float(value) if value.is_finite() else str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    return value


def number(value: Cell, name: str) -> Cell:
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else str(value)
    if isinstance(value, str) and DECIMAL.fullmatch(value.strip().replace(",", ".")) and "," in value:
        point = value.strip().replace(",", ".")
        bad = ErrorCode.INVALID_PARAMETER
        raise InvalidRequest(bad, f"{name} has a decimal comma, got {value!r:.80}; write {point:.80}")
    if isinstance(value, str) and DECIMAL.fullmatch(value.strip()):
        return float(value)
    return value
