"""What an image costs one worker, measured: in this process, or by a finished run."""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from imagen_model.generation import Success
from pipelines.batch import source_of
from pipelines.content_credentials import ContentCredentials
from pipelines.credential_files import read_signing_key
from pipelines.encoding import Encoder
from pipelines.errors import InvalidJob
from pipelines.job import BatchJob
from pipelines.manifest import SUCCESS, finished_shards, read_manifest
from pipelines.plan import load_plan
from pipelines.provenance import Provenance
from pipelines.steps import step
from pipelines.storage import open_store
from pipelines.words import counted

FEWEST = 32  # images of a worker that tell its speed
ENOUGH = 20_000  # images of a run that are looked at


@dataclass(frozen=True, slots=True)
class Measurement:
    """Seconds of one worker and bytes for one image of these parameters.

    Args:
        size, num_inference_steps: as asked for; None is the model's own default.
        batch_size: images computed together; None where it is not known.
        generate_seconds: of the model; where a run was measured, of all that a worker does.
        encode_seconds: of a CPU, beside the model; None where a run was measured.
        images: that were measured.
        measured: where.
    """

    model: str
    model_revision: str
    size: str | None
    num_inference_steps: int | None
    image_format: str
    batch_size: int | None
    generate_seconds: float
    encode_seconds: float | None
    bytes: float
    images: int
    measured: str

    @property
    def key(self) -> tuple[Any, ...]:
        """What a measurement holds for."""
        return self.model, self.size, self.num_inference_steps, self.image_format


def size_asked(job: BatchJob) -> str | None:
    return size_in(job.parameters())


def size_in(parameters: Mapping[str, Any]) -> str | None:
    width, height = parameters["width"], parameters["height"]
    return None if width is None and height is None else f"{width}x{height}"


def key_of(job: BatchJob) -> tuple[Any, ...]:
    """What a measurement must be of, to tell what this job takes; as `Measurement.key`."""
    return source_of(job).name, size_asked(job), job.num_inference_steps, job.image_format


def measure(job: BatchJob) -> Measurement:
    """Generate and encode one batch in this process, after one that warms up.

    Raises:
        InvalidJob: the model does not take the parameters, or made no image.
    """
    source = source_of(job)
    job.check_model_takes_it(source.rules)
    step(f"measuring: loading {source.name} here")
    generator = source.load(job.pool.batch_size, job.pool.device)
    step(f"measuring: two batches of {counted(generator.batch_size, 'picture')}")
    asked = [job.request(f"a picture of number {index}") for index in range(generator.batch_size)]
    requests = [source.rules.resolve(request) for request in asked]
    generator.generate(requests)
    began = time.perf_counter()
    results = generator.generate(requests)
    generated = time.perf_counter()
    encoder = Encoder(job.image_format, job.quality)
    label = Provenance(source.name, source.revision, job.metadata).label
    made = zip(requests, results, strict=True)
    data = [encoder.encode(result.image, label(request)) for request, result in made if isinstance(result, Success)]
    if job.credential_files is not None:
        credentials = ContentCredentials(read_signing_key(job.credential_files), source.name, source.revision)
        data = [credentials.sign(file, job.image_format) for file in data]
    encoded = time.perf_counter()
    if not data:
        raise InvalidJob(f"{source.name} made no image of a batch of {len(requests)}; look at the parameters")
    return Measurement(
        source.name,
        source.revision,
        size_asked(job),
        job.num_inference_steps,
        job.image_format,
        len(requests),
        (generated - began) / len(requests),
        (encoded - generated) / len(data),
        sum(map(len, data)) / len(data),
        len(data),
        f"this machine, device {job.pool.device}",
    )


def measurement_of(output: str, job: BatchJob) -> Measurement:
    """What the workers of a run with this model, size, steps and format took, from times and bytes in its manifests.

    Raises:
        NoPlan, InvalidJob: there is no run, it is too short to tell, or it is of something else than was asked.
    """
    store = open_store(output)
    settings = load_plan(store).settings
    size = size_in(settings.parameters)
    made = (settings.model, size, settings.parameters["num_inference_steps"], settings.image_format)
    if made != key_of(job):
        raise InvalidJob(
            f"{output} is no measurement of {name_of(key_of(job))}; it is one of {name_of(made)}. Ask for that, or "
            "give a run of what you ask for"
        )
    times: dict[str, list[float]] = {}
    sizes: list[int] = []
    for shard in sorted(finished_shards(store)):
        table = read_manifest(store, shard).select(["worker", "created_at", "bytes", "status"])
        table = table.filter(pc.equal(table["status"], pa.scalar(SUCCESS)))
        for entry in table.to_pylist():
            times.setdefault(entry["worker"], []).append(entry["created_at"].timestamp())
            sizes.append(entry["bytes"])
        if len(sizes) >= ENOUGH:
            break
    # From the first image to the last: a worker's first batch has no beginning in the manifests.
    rates = [(max(moments) - min(moments)) / (len(moments) - 1) for moments in times.values() if len(moments) >= FEWEST]
    if not rates or not all(rates):
        raise InvalidJob(f"no worker of {output} made {FEWEST} images; give a longer run, or none to measure here")
    return Measurement(
        settings.model,
        settings.model_revision,
        size,
        settings.parameters["num_inference_steps"],
        settings.image_format,
        None,
        statistics.median(rates),
        None,
        statistics.fmean(sizes),
        len(sizes),
        f"{len(rates)} workers of {output}",
    )


def load_measurements(path: Path) -> list[Measurement]:
    """Raises:
    InvalidJob: the file cannot be read, or holds something else.
    """
    try:
        return [Measurement(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["measurements"]]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise InvalidJob(f"{path} holds no measurements ({problem}); write it with --save") from problem


def choose_measurement(path: Path, job: BatchJob) -> Measurement:
    """The file's measurement of this model, size, steps and format.

    Raises:
        InvalidJob: it has none.
    """
    wanted = key_of(job)
    found = load_measurements(path)
    for measurement in found:
        if measurement.key == wanted:
            return measurement
    known = "; ".join(name_of(measurement.key) for measurement in found) or "nothing"
    raise InvalidJob(f"{path} has no measurement of {name_of(wanted)}; it has: {known}. Measure with --save {path}")


def name_of(key: tuple[Any, ...]) -> str:
    model, size, steps, image_format = key
    return f"{model}, {size or 'its own size'}, {'its own' if steps is None else steps} steps, {image_format}"


def save_measurement(path: Path, measurement: Measurement) -> None:
    """Add it to the file, in the place of an older one of the same key."""
    others = [other for other in load_measurements(path) if other.key != measurement.key] if path.exists() else []
    entries = [dataclasses.asdict(entry) for entry in (*others, measurement)]
    path.write_text(json.dumps({"measurements": entries}, indent=1) + "\n", encoding="utf-8")
