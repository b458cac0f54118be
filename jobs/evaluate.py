"""`imagegen evaluate`: a table of scores by category, with both ends of the scale."""

from __future__ import annotations

import dataclasses
import statistics
import time
from pathlib import Path
from typing import Any

from PIL import Image

from imagen_model.distances import FEATURES_NAME, drawn_world_features
from imagen_model.exam import Question, Score, answer, score, shuffled
from imagen_model.generation import Generator
from imagen_model.worlds import UnknownWorld, World, find_world
from pipelines.errors import InvalidJob
from pipelines.weights import find_source

from .console import print_json, say
from .drawing_distances import DRAWN_AT, Distances, InceptionDistances, distances_between, fresh_drawings
from .exit_codes import ExitCode


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One category on one split: the model's score between the drawings' and another prompt's picture's."""

    split: str
    model: Score
    drawings: Score
    shuffled: Score


@dataclasses.dataclass(frozen=True, slots=True)
class ClipScores:
    """Means of 2.5 max(cos, 0) by the CLIP of that name: of the pictures, and of the drawings that answer the same."""

    name: str
    pictures: float
    drawings: float


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What one evaluation found.

    Args:
        bits: bits per subpixel of held-out drawings with their prompts; None where the base draws no pixels.
        fidelity: a row for each side and way to enlarge; empty where there is no super-resolution.
        clip: None where no CLIP is given.
        inception: None where no Inception is given.
    """

    model: str
    revision: str
    world: str
    samples: int
    seed: int
    best_of: int
    seconds: float
    rows: list[Row]
    distances: Distances
    bits: float | None
    fidelity: list[Any]
    clip: ClipScores | None = None
    inception: InceptionDistances | None = None


def evaluate_command(
    name: str,
    samples: int,
    seed: int,
    batch_size: int | None,
    device: str,
    world_name: str | None,
    grid: Path | None,
    clip_folder: Path | None,
    inception_place: Path | None,
    as_json: bool,
    best_of: int | None = None,
) -> int:
    clip = inception = None
    if inception_place is not None:
        from imagen_model.inception_weights import load_inception

        inception = load_inception(inception_place, device)
    if clip_folder is not None:
        from imagen_model.clip import Clip

        clip = Clip.from_pretrained(clip_folder, device)
    source = find_source(name)
    generator = source.load(batch_size, device)
    if best_of is not None and "best_of" not in generator.rules.defaults:
        raise InvalidJob(f"{name} cannot choose among candidates; leave --best-of out")
    model = getattr(generator, "model", None)
    config = getattr(model, "config", None)
    try:
        world = find_world(world_name or str(getattr(config, "world", "illustrations")))
    except UnknownWorld as error:
        raise InvalidJob(str(error)) from None
    began = time.perf_counter()
    rows, strips, pictures, drawings, prompts = examine(generator, world, samples, seed, best_of)
    if grid is not None:
        stack(strips).save(grid)
    bits, fidelity = None, []
    if model is not None and getattr(config, "base", None) == "pixel_decoder":
        bits = bits_per_subpixel(model, world, samples, seed)
    if model is not None and getattr(config, "super_resolution", None):
        from imagen_model.fidelity import measure

        fidelity = measure(model, min(samples, 64), seed)
    seconds = time.perf_counter() - began
    fresh = fresh_drawings(world, samples, seed + 1)
    distances = distances_between(pictures, drawings, fresh, drawn_world_features)
    on_inception = None
    if inception is not None:
        found = distances_between(pictures, drawings, fresh, inception.features)
        on_inception = InceptionDistances(inception.name, len(pictures), found)
    judged = None
    if clip is not None:
        means = (statistics.fmean(clip.scores(images, prompts)) for images in (pictures, drawings))
        judged = ClipScores(clip.name, *means)
    report = Report(
        source.name,
        source.revision,
        world.name,
        samples,
        seed,
        best_of or 1,
        round(seconds, 1),
        rows,
        distances,
        bits,
        fidelity,
        judged,
        on_inception,
    )
    if as_json:
        print_json(as_object(report))
    else:
        print(as_table(report))
    return ExitCode.SUCCESS


def examine(
    generator: Generator, world: World, samples: int, seed: int, best_of: int | None
) -> tuple[list[Row], list[Image.Image], list[Image.Image], list[Image.Image], list[str]]:
    """Rows of the table, strips of pictures, and all pictures, with the drawings and prompts that they answer."""
    rows: list[Row] = []
    strips, pictures, drawings, prompts = [], [], [], []
    for split, held_out in (("seen", False), ("held out", True)):
        for category in world.held_out_categories if held_out else world.categories:
            asked = world.questions(category, samples, seed, held_out)
            images = answer(generator, asked, seed, world.side, best_of)
            truth = world.draw_answers(asked, world.side or DRAWN_AT)
            other = score(category, asked, shuffled(truth))
            rows.append(Row(split, score(category, asked, images), score(category, asked, truth), other))
            strips.append(strip(asked[:12], images[:12]))
            made = [index for index, image in enumerate(images) if image is not None]
            pictures += [image for image in images if image is not None]
            drawings += [truth[index] for index in made]
            prompts += [asked[index].prompt for index in made]
            say(f"{split}, {category}: {rows[-1].model.share:.2f}")
    return rows, strips, pictures, drawings, prompts


def bits_per_subpixel(model: Any, world: World, samples: int, seed: int) -> float:
    """Mean over held-out drawings of all categories."""
    asked = [
        question
        for category in world.held_out_categories
        for question in world.questions(category, max(1, samples // len(world.held_out_categories)), seed, True)
    ]
    drawn = world.draw_answers(asked, model.config.image_size)
    bits = [model.log_likelihood(image, question.prompt) for image, question in zip(drawn, asked, strict=True)]
    return float(statistics.fmean(bits))


def as_table(report: Report) -> str:
    lines = [
        f"{report.model} ({report.revision}): GenEval-style on drawn scenes ({report.world}), judged by the project's "
        f"checker{f', best of {report.best_of}' if report.best_of > 1 else ''}. Not GenEval.",
        "",
        "| split | category | right | 95 % interval | n | drawings | other prompts' pictures | parts |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in report.rows:
        low, high = row.model.interval
        parts = ", ".join(f"{name} {share:.2f}" for name, share in row.model.parts.items())
        lines.append(
            f"| {row.split} | {row.model.category} | {row.model.share:.2f} | {low:.2f} to {high:.2f} | "
            f"{row.model.count} | {row.drawings.share:.2f} | {row.shuffled.share:.2f} | {parts} |"
        )
    found = report.distances
    lines += [
        "",
        f"Distance of its pictures from drawings on {FEATURES_NAME!r} (not FID): Frechet {found.frechet:.2f}, kernel "
        f"{found.kernel:.4f}; of other drawings: {found.drawings_frechet:.2f}, {found.drawings_kernel:.4f}.",
    ]
    if report.inception is not None:
        lines.append(str(report.inception))
    if report.bits is not None:
        lines.append(f"Held-out drawings with their prompts: {report.bits:.3f} bits per subpixel.")
    if report.clip is not None:
        lines.append(
            f"CLIP score (2.5 max(cos, 0), by {report.clip.name}): {report.clip.pictures:.3f}; of drawings that answer "
            f"the same prompts: {report.clip.drawings:.3f}."
        )
    if report.fidelity:
        lines += ["", "| super-resolution to | way | PSNR | mean error R, G, B | seconds |", "|---|---|---|---|---|"]
    for step in report.fidelity:
        shift = ", ".join(f"{value:+.2f}" for value in step.shift)
        lines.append(f"| {step.side} | {step.way} | {step.psnr:.1f} dB | {shift} | {step.seconds:.3f} |")
    return "\n".join(lines)


def as_object(report: Report) -> dict[str, Any]:
    scores = [
        {
            "split": row.split,
            "category": row.model.category,
            "right": row.model.share,
            "interval": row.model.interval,
            "drawings": row.drawings.share,
            "shuffled": row.shuffled.share,
            "parts": row.model.parts,
        }
        for row in report.rows
    ]
    told = ("model", "revision", "world", "samples", "seed", "best_of", "seconds")
    whole = {name: getattr(report, name) for name in told}
    return whole | {
        "scores": scores,
        "features": FEATURES_NAME,
        "distances": dataclasses.asdict(report.distances),
        "bits_per_subpixel": report.bits,
        "fidelity": [dataclasses.asdict(step) for step in report.fidelity],
        "clip": None if report.clip is None else dataclasses.asdict(report.clip),
        "inception": None if report.inception is None else dataclasses.asdict(report.inception),
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
