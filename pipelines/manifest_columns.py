"""What each column of a manifest holds, in words; the types are those of `manifest.SCHEMA`. The docs are made of it."""

from __future__ import annotations

from imagen_model.generation import ErrorCode

from .manifest import OPTIONAL, SCHEMA

MEANINGS = {
    "row": "Number of the row in the prompt table, from 0, through all its files in order.",
    "id": "The row's own `id`, where the table has one.",
    "image_index": "Which of the row's images, from 0 to `n` - 1.",
    "shard": "Number of the shard; this manifest's own.",
    "file_name": "The object that holds the picture, relative to the output; null where there is none.",
    "member": "The picture's name in that object, where it is an archive.",
    "prompt": "As in the table; of a refused row at most its first 1,000 characters.",
    "negative_prompt": "What guidance steered away from.",
    "seed": "From which every random draw of this picture comes; null where the row's own is none.",
    "width": "Of the file, in pixels; of a failed row, as asked.",
    "height": "Of the file, in pixels; of a failed row, as asked.",
    "num_inference_steps": "Used; null for models that do not sample in steps.",
    "guidance_scale": "Used; 1 is none.",
    "top_k": "Used; 0 is off.",
    "top_p": "Used; 1 is off.",
    "temperature": "Used; 0 takes the likeliest value.",
    "model": "Name of the model that was really used.",
    "model_revision": "Hash over its configuration, tokenizer and weights.",
    "config_fingerprint": "Hash over everything that all rows share and that decides their bytes.",
    "status": "`success`, `failed`, or `filtered` by the model's own safety checker.",
    "error_code": "Of a failed row: see [Failures](#failures).",
    "error_message": "Names the value, the limit and the remedy.",
    "attempts": "1, and one more for each `imagegen retry` that took this row up again.",
    "format": "`png`, `jpeg` or `webp`.",
    "bytes": "Of the file.",
    "sha256": "Of the file's bytes.",
    "generation_ms": "Milliseconds of the model's time; a batch's time is shared evenly.",
    "worker": "Host and process that made it.",
    "created_at": "When, in UTC. With `generation_ms` and `worker` the only columns in which two runs differ.",
    "best_of": "How many candidates the likeliest was chosen from.",
    "post_processing": "The steps that the picture went through, in their order.",
    "generated_width": "What was asked of the model, before post-processing.",
    "generated_height": "What was asked of the model, before post-processing.",
    "grey_image": "Path or URL of the picture that was colorized, as the table has it; null where it brought bytes.",
    "grey_image_sha256": "Of that picture's file, as it was read.",
}

# Why a row has no picture, and what helps.
FAILURES = {
    ErrorCode.EMPTY_PROMPT: "The prompt is null, empty or only white space.",
    ErrorCode.PROMPT_TOO_LONG: "More characters or tokens than are taken; the message has the limit.",
    ErrorCode.INVALID_SIZE: "The model does not make that size; the message has those that it makes.",
    ErrorCode.INVALID_PARAMETER: "A value is out of its range, or of a parameter that this model has not.",
    ErrorCode.INVALID_ROW: "A value is of the wrong type, or the row could not be read.",
    ErrorCode.INVALID_IMAGE: "The row's picture is missing or cannot be read; put it there, then retry.",
    ErrorCode.OUT_OF_MEMORY: "One picture alone did not fit; take a larger device or a smaller size, then retry.",
    ErrorCode.GENERATION_FAILED: "The model failed on this row; the message has its words.",
    ErrorCode.ENCODE_FAILED: "The picture could not be written in the image format.",
    ErrorCode.UPLOAD_FAILED: "The storage refused the file for minutes; retry when it is well.",
    ErrorCode.WORKER_DIED: "The row's process died with this row alone in work, several times; it was given up.",
    ErrorCode.CONTENT_FILTERED: "The model's own safety checker held the picture back; the row's status is `filtered`.",
}


def columns() -> list[tuple[str, str, str]]:
    """(name, Arrow type, meaning) of every column in order; those that only some manifests have come last."""
    fields = [(field.name, field.type) for field in SCHEMA]
    fields += [column for part in OPTIONAL.values() for column in part]
    return [(name, str(kind), MEANINGS[name]) for name, kind in fields]
