"""`imagegen evaluate`: a table of scores by category, with both ends of the scale."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from PIL import Image

from imagen_model.evaluation import CATEGORIES, Question, Score, answer, draw_answers, questions, score, shuffled
from pipelines.weights import find_source

from .exit_codes import ExitCode
from .report import print_json, say


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One category on one split: the model's score between the drawings' and another prompt's picture's."""

    split: str
    model: Score
    drawings: Score
    shuffled: Score


def evaluate_command(
    name: str, samples: int, seed: int, batch_size: int | None, device: str, grid: Path | None, as_json: bool
) -> int:
    source = find_source(name)
    generator = source.load(batch_size, device)
    rows: list[Row] = []
    strips: list[Image.Image] = []
    began = time.perf_counter()
    for split, held_out in (("seen", False), ("held out", True)):
        for category in CATEGORIES:
            if category == "landscape" and held_out:
                continue  # landscapes have no colour and shape to hold out
            asked = questions(category, samples, seed, held_out)
            images = answer(generator, asked, seed)
            truth = draw_answers(asked)
            drawn = [image for image in images if image is not None]
            other = score(category, asked, shuffled(asked, truth))
            rows.append(Row(split, score(category, asked, images), score(category, asked, truth), other))
            strips.append(strip(asked[:12], images[:12]))
            say(f"{split}, {category}: {rows[-1].model.share:.2f} ({len(drawn)} pictures)")
    seconds = time.perf_counter() - began
    if grid is not None:
        stack(strips).save(grid)
    if as_json:
        print_json(as_object(source.name, source.revision, samples, seed, seconds, rows))
    else:
        print(as_table(source.name, source.revision, rows))
    return ExitCode.SUCCESS


def as_table(model: str, revision: str, rows: list[Row]) -> str:
    lines = [
        f"{model} ({revision}): GenEval-style on drawn scenes, judged by the project's checker. Not GenEval.",
        "",
        "| split | category | right | 95 % interval | n | drawings | other prompts' pictures | parts |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row.model.interval
        parts = ", ".join(f"{name} {share:.2f}" for name, share in row.model.parts.items())
        lines.append(
            f"| {row.split} | {row.model.category} | {row.model.share:.2f} | {low:.2f} to {high:.2f} | "
            f"{row.model.count} | {row.drawings.share:.2f} | {row.shuffled.share:.2f} | {parts} |"
        )
    return "\n".join(lines)


def as_object(model: str, revision: str, samples: int, seed: int, seconds: float, rows: list[Row]) -> dict[str, Any]:
    return {
        "model": model,
        "revision": revision,
        "samples": samples,
        "seed": seed,
        "seconds": round(seconds, 1),
        "scores": [
            {
                "split": row.split,
                "category": row.model.category,
                "right": row.model.share,
                "interval": row.model.interval,
                "drawings": row.drawings.share,
                "shuffled": row.shuffled.share,
                "parts": row.model.parts,
            }
            for row in rows
        ],
    }


def strip(asked: list[Question], images: list[Image.Image | None]) -> Image.Image:
    """The pictures of one category side by side, 64 pixels each, a wrong one in a red frame."""
    side, gap = 64, 4
    picture = Image.new("RGB", (12 * (side + gap), side + gap), (60, 60, 60))
    for index, (one, image) in enumerate(zip(asked, images, strict=True)):
        if image is None:
            continue
        if not one.judge(image)["right"]:
            picture.paste((230, 30, 30), (index * (side + gap), 0, (index + 1) * (side + gap), side + gap))
        small = image.resize((side, side), Image.Resampling.NEAREST)
        picture.paste(small, (index * (side + gap) + gap // 2, gap // 2))
    return picture


def stack(strips: list[Image.Image]) -> Image.Image:
    height = strips[0].height
    picture = Image.new("RGB", (strips[0].width, height * len(strips)))
    for index, one in enumerate(strips):
        picture.paste(one, (0, index * height))
    return picture
