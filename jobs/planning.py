"""`imagegen plan`: hours, objects, bytes and cost of a run that is not there yet, and what would hold it up."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pipelines.errors import InvalidJob
from pipelines.job import BatchJob

from .capacity import Estimate, Question, estimate
from .console import print_json, say
from .display import duration, size_of
from .exit_codes import ExitCode
from .measurement import Measurement, choose_measurement, measure, measurement_of, save_measurement
from .progress_line import Line


def plan_command(
    job: BatchJob, question: Question, file: Path | None, run: str | None, save: Path | None, as_json: bool
) -> int:
    """Args:
    file: of measurements, to read one from; `run`: a finished run's output. None of both: one is measured here.
    save: file to keep what was measured in.
    """
    measured = measurement(job, file, run)
    if save is not None:
        save_measurement(save, measured)
    found = estimate(question, measured)
    if as_json:
        answer = dataclasses.asdict(found) | {"images_per_second": found.images_per_second}
        print_json({"measurement": dataclasses.asdict(measured), "question": dataclasses.asdict(question)} | answer)
    else:
        print(describe(question, measured, found))
    return ExitCode.SUCCESS


def measurement(job: BatchJob, file: Path | None, run: str | None) -> Measurement:
    if file is not None and run is not None:
        raise InvalidJob("--measurement and --from-run are both given; give one of the two")
    if file is not None:
        return choose_measurement(file, job)
    if run is not None:
        return measurement_of(run, job)
    say("plan: measuring one batch here; --from-run OUTPUT or --measurement FILE take what was measured elsewhere")
    with Line():
        return measure(job)


def describe(question: Question, measured: Measurement, found: Estimate) -> str:
    encoding = "" if measured.encode_seconds is None else f", {measured.encode_seconds:.4g} s to encode it"
    width = max(len(limit.arithmetic) for limit in found.limits)
    lines = [
        f"images       {question.rows:,} rows x {question.images_a_row} = {found.images:,} images "
        f"of {measured.model}, {measured.size or 'its own size'}, {measured.image_format}",
        f"measured     {measured.generate_seconds:.4g} s of a worker an image{encoding}, {size_of(measured.bytes)} "
        f"({measured.images:,} images, {measured.measured})",
    ]
    for limit in found.limits:
        mark = "  <- the bottleneck" if limit.part == found.bottleneck else ""
        lines.append(f"{limit.part:<12} {limit.arithmetic:<{width}} = {limit.images_per_second:>12,.1f} images/s{mark}")
    pictures = "archives" if question.output_format != "imagefolder" else "pictures and metadata"
    lines += [
        f"time         {found.images:,} images / {found.images_per_second:,.1f} images/s = {duration(found.seconds)}, "
        f"and up to {duration(found.last_shard_seconds)} for the last shards; start-up apart",
        f"objects      {found.objects:,} ({pictures}; a manifest for each of {found.shards:,} shards), "
        f"{found.requests:,} requests",
        f"bytes        {found.images:,} x {size_of(measured.bytes)} = {size_of(found.bytes)}, manifests apart",
    ]
    if found.gpu_cost is not None:
        lines.append(
            f"GPU cost     {question.gpus:,} x {found.seconds / 3600:,.2f} hours x {question.price_per_gpu_hour:g} "
            f"= {found.gpu_cost:,.2f}"
        )
    if found.request_cost is not None:
        price = question.price_per_1000_requests
        lines.append(f"request cost {found.requests:,} / 1,000 x {price:g} = {found.request_cost:,.2f}")
    return "\n".join(lines)
