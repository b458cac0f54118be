"""The JSON schema of a request for pictures, as narrow as the served model: what fits it is made, what does not is
refused."""

from __future__ import annotations

from typing import Any

from imagen_model.generation import MAX_BEST_OF, MAX_PROMPT_CHARACTERS, RequestRules, SizeRange
from imagen_model.grey_picture import FORMATS

from .schemas import ImageRequest
from .service import ServedModel
from .steps_pattern import steps_pattern

# No control characters but tab and line ends; what counts as blank to `str.strip`.
CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
BLANK = r"\t\n\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
RANGES: dict[str, dict[str, float]] = {
    "num_inference_steps": {"minimum": 1, "maximum": 1000},
    "guidance_scale": {"minimum": 0, "maximum": 100},
    "top_k": {"minimum": 0, "maximum": 65_536},
    "top_p": {"exclusiveMinimum": 0, "maximum": 1},
    "temperature": {"minimum": 0, "maximum": 10},
    "best_of": {"minimum": 1, "maximum": MAX_BEST_OF},
}
TOGETHER: list[dict[str, Any]] = [
    # Not by `if`: schemathesis 4.32 does not know what to make of it beside a form's file.
    {
        "anyOf": [
            {"properties": {"output_compression": {"type": "null"}}},
            {"properties": {"output_format": {"enum": ["jpeg", "webp"]}}, "required": ["output_format"]},
        ],
    },
    {
        "if": {"properties": {"partial_images": {"type": "integer"}}, "required": ["partial_images"]},
        "then": {"properties": {"stream": {"const": True}}, "required": ["stream"]},
    },
    {
        "if": {"properties": {"stream": {"const": True}}, "required": ["stream"]},
        "then": {"properties": {"response_format": {"enum": ["b64_json", None]}}},
    },
]
IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "idempotency-key",
    "in": "header",
    "description": "A request under a key that was used gets that one's answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
PARAMETERS: list[dict[str, Any]] = [
    IDEMPOTENCY_KEY,
    {
        "name": "x-imagegen-priority",
        "in": "header",
        "description": "`batch` lets all others go first.",
        "schema": {"type": "string"},
    },
]


def edit_schema(model: ServedModel) -> dict[str, Any]:
    """Of the form of `POST /v1/images/edits`."""
    schema = request_schema(model, colorize=True)
    for name in ("stream", "partial_images"):
        del schema["properties"][name]
    schema["properties"]["image"] = {"type": "string", "format": "binary", "description": f"{', '.join(FORMATS)}."}
    schema["allOf"] = [part for part in schema["allOf"] if "stream" not in str(part)]
    return schema | {"title": "ImageEdit", "required": ["image", "prompt"]}


def request_schema(model: ServedModel, colorize: bool = False) -> dict[str, Any]:
    """Of the body of `POST /v1/images/generations`.

    Args:
        colorize: whether there is a grey picture, which the first step takes.
    """
    schema = ImageRequest.model_json_schema()
    known = schema["properties"]
    text = {"type": "string", "maxLength": MAX_PROMPT_CHARACTERS}
    known["prompt"] |= text | {"minLength": 1, "pattern": f"^[^{CONTROL}]*[^{CONTROL}{BLANK}][^{CONTROL}]*$"}
    negative = text | {"pattern": f"^[^{CONTROL}]*$"} if model.rules.takes_negative_prompt else {"const": ""}
    narrowed: dict[str, dict[str, Any]] = {
        "negative_prompt": optional(negative),
        "model": {"enum": [*sorted(model.names), None]},
        "size": sizes_schema(model.rules),
    }
    for name, range_ in RANGES.items():
        if name not in model.rules.defaults:
            narrowed[name] = {"type": "null", "description": "Not this model's."}
            continue
        kind = "integer" if name in {"num_inference_steps", "top_k", "best_of"} else "number"
        limit = min(range_["maximum"], model.rules.limits.get(name, range_["maximum"]))
        narrowed[name] = optional({"type": kind, **range_, "maximum": limit})
    for name, field in narrowed.items():
        known[name] = {"description": known[name]["description"]} | field
    return schema | {"allOf": [*TOGETHER, {"anyOf": by_size(model.rules, colorize)}]}


def sizes_schema(rules: RequestRules) -> dict[str, Any]:
    """The sizes by name, or, of a range, as the pattern of all of them."""
    named = {"enum": [*(f"{width}x{height}" for width, height in rules.sizes), "auto", None]}
    if rules.size_range is None:
        return named
    return {"anyOf": [{"type": "string", "pattern": range_pattern(rules.size_range)}, named]}


def range_pattern(sizes: SizeRange) -> str:
    sides = "|".join(map(str, range(sizes.least, sizes.most + 1, sizes.multiple_of)))
    return f"^({sides})x({sides})$"


def by_size(rules: RequestRules, colorize: bool) -> list[dict[str, Any]]:
    """What post-processing may say depends on the picture's size, below which it does not go.

    The sizes of a range are too many to have a branch each: for those that have no name, what is described is any
    size of `upscale`, and a smaller one than the picture's is refused all the same.
    """
    found = []
    if rules.size_range is not None:
        pattern = steps_pattern(rules, rules.size_range.least, rules.size_range.least, colorize)
        steps = {"type": "null"} if pattern is None else optional({"type": "string", "pattern": pattern})
        others = {"not": {"enum": [*(f"{width}x{height}" for width, height in rules.sizes), "auto", None]}}
        found.append({"properties": {"size": others, "post_processing": steps}, "required": ["size"]})
    for number, (width, height) in enumerate(rules.sizes):
        pattern = steps_pattern(rules, width, height, colorize)
        steps = {"type": "null"} if pattern is None else optional({"type": "string", "pattern": pattern})
        name = f"{width}x{height}"
        branch = {"properties": {"size": {"const": name}, "post_processing": steps}, "required": ["size"]}
        if number == 0:  # the default
            branch = {"properties": {"size": {"enum": [name, "auto", None]}, "post_processing": steps}}
        found.append(branch)
    return found


def optional(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}
