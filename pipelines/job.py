"""What a user asks for: the settings of one batch job, checked when it is built."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from imagen_model.generation import MAX_SEED, GenerationRequest, GreyPicture, InvalidRequest, RequestRules
from imagen_model.nearest import did_you_mean
from imagen_model.open_models.options import NO_OPTIONS, ModelOptions
from imagen_model.post_processing import COLORIZE

from .credential_files import CredentialFiles, credential_files
from .encoding import Encoder
from .errors import InvalidJob
from .formats import output_format
from .provenance import NONE, Provenance
from .rows import MAX_IMAGES, size_meant

A_PIXEL = GreyPicture(1, 1, b"\0", "")
DEFAULT_BATCH = 16
MANY_WORKERS = 32  # taken for a cluster that was not asked yet; were there fewer, shards are smaller than need be


@dataclass(frozen=True, slots=True)
class Pool:
    """The workers. None of it changes a byte of the output.

    Args:
        workers: None for one a GPU, or without GPUs one a CPU.
        gpus_per_worker: None for 1 where Ray finds GPUs, else 0; a fraction shares one.
        cpus_per_worker: also the threads that the model computes with.
        batch_size: requests computed together; None for the model's own choice.
        device: auto, cpu, cuda or cuda:1.
        ray_address: of a cluster; None for the one that Ray's own job submission names, else Ray on this machine.
        price_per_gpu_hour: in any currency; for the report only.
    """

    workers: int | None = None
    gpus_per_worker: float | None = None
    cpus_per_worker: float = 1.0
    batch_size: int | None = None
    device: str = "auto"
    ray_address: str | None = None
    price_per_gpu_hour: float | None = None

    def __post_init__(self) -> None:
        check_device(self.device)
        at_least("workers", self.workers, 1)
        at_least("gpus_per_worker", self.gpus_per_worker, 0)
        at_least("cpus_per_worker", self.cpus_per_worker, 0.01)
        at_least("batch_size", self.batch_size, 1)
        at_least("price_per_gpu_hour", self.price_per_gpu_hour, 0)

    @property
    def cluster(self) -> str | None:
        """Address of the cluster to join; None for a Ray on this machine."""
        return self.ray_address or os.environ.get("RAY_ADDRESS") or None

    def expected_workers(self) -> int:
        """For the size of shards, before Ray is asked what there is."""
        if self.workers is not None:
            return self.workers
        return MANY_WORKERS if self.cluster else min(os.cpu_count() or 1, MANY_WORKERS)


@dataclass(frozen=True, slots=True)
class FailureBudget:
    """How many failed images a run may have: a count, or a share of all its images (0 to 1)."""

    count: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, text: str | int | None) -> FailureBudget:
        """From "20", 20 or "5%"; None for no limit.

        Raises:
            InvalidJob: it is neither.
        """
        if text is None:
            return cls()
        match = re.fullmatch(r"\s*(\d{1,12})\s*|\s*(\d{1,3}(?:\.\d{1,6})?)\s*%\s*", str(text))
        if match is None or (match[2] and float(match[2]) > 100):
            raise InvalidJob(f"max_failures must be a count like 20 or a share like 5%, got {text!r}")
        return cls(int(match[1])) if match[1] else cls(None, float(match[2]) / 100)

    def allowed(self, images: int) -> int | None:
        """Failures allowed in a run of that many images; None for any number."""
        return self.count if self.share is None else int(self.share * images)


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One table in, one dataset out.

    Args:
        prompts: path or URL of a file, a folder or a glob.
        output: folder or URL of the dataset.
        endpoint: address of an `imagegen serve` that makes the pictures instead of workers here.
        model: name or URL as `pipelines.weights.find_source` takes it.
        options: how a diffusers model is run.
        input_format: as `TableFiles` takes it; None to tell by the names and, of text, by the content.
        prompt_column: None to go by the known names.
        image_format: png, jpeg or webp.
        output_format: imagefolder, webdataset or parquet.
        quality: 1 to 100 for jpeg and webp.
        metadata: what pictures' files say of their making: none, provenance or full (`provenance.py`).
        c2pa_certificate, c2pa_key: files of a certificate chain and its private key, by which pictures' files are
            signed (`content_credentials.py`); every node has them in the same place.
        n: images for each row that does not say it itself, 1 to 100.
        seed: from which rows without one get theirs.
        size: "WxH" instead of width and height, in pixels.
        shard_rows: 1 to 1024; None to choose.
        limit: only the first so many rows.
        extend: go on with files that came to the table after the output's first run; without it they are refused.
        max_failures: "20" or "5%" of the images; None for no limit.
        report: write `report.html` at the end, also of a run that stops.
        log_file: where Ray's messages go; None for `.run/ray.log` in a local output.

    Raises:
        InvalidJob: a setting is out of range.
    """

    prompts: str
    output: str
    model: str = "imagen-small"
    endpoint: str | None = None
    input_format: str | None = None
    prompt_column: str | None = None
    image_format: str = "png"
    output_format: str = "imagefolder"
    quality: int | None = None
    metadata: str = NONE
    c2pa_certificate: str | None = None
    c2pa_key: str | None = None
    n: int = 1
    seed: int = 0
    size: str | None = None
    width: int | None = None
    height: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    temperature: float | None = None
    negative_prompt: str | None = None
    best_of: int | None = None
    post_processing: str | None = None
    shard_rows: int | None = None
    limit: int | None = None
    extend: bool = False
    max_failures: str | int | None = None
    report: bool = True
    log_file: str | None = None
    pool: Pool = field(default_factory=Pool)
    options: ModelOptions = NO_OPTIONS

    def __post_init__(self) -> None:
        if self.endpoint is not None and self.options.given():
            given = ", ".join(self.options.given())
            raise InvalidJob(f"{given}: a server runs its model as it was started; give these to `imagegen serve`")
        Encoder(self.image_format, self.quality)
        Provenance("", "", self.metadata)
        credential_files(self.c2pa_certificate, self.c2pa_key)
        output_format(self.output_format)
        FailureBudget.parse(self.max_failures)
        between("n", self.n, 1, MAX_IMAGES)
        between("seed", self.seed, 0, MAX_SEED)
        if self.shard_rows is not None:
            between("shard_rows", self.shard_rows, 1, 1024)
        at_least("limit", self.limit, 1)
        self.request("x")

    @property
    def credential_files(self) -> CredentialFiles | None:
        return credential_files(self.c2pa_certificate, self.c2pa_key)

    def parameters(self) -> dict[str, object]:
        """Of every row that does not say otherwise, as given; None is the model's own default."""
        width, height = self.width, self.height
        if self.size is not None:
            size = parse_size(self.size)
            if self.width is not None or self.height is not None:
                raise InvalidJob("size and width or height are both given; give one of the two")
            width, height = size
        names = ("negative_prompt", "num_inference_steps", "guidance_scale", "top_k", "top_p", "temperature")
        # Younger than the first plans, whose fingerprints they must not change: absent where they are not given.
        younger = {name: getattr(self, name) for name in ("best_of", "post_processing")}
        given = {name: value for name, value in younger.items() if value is not None}
        return {"width": width, "height": height} | {name: getattr(self, name) for name in names} | given

    def request(self, prompt: str) -> GenerationRequest:
        """Raises:
        InvalidJob: no request can have these parameters.
        """
        try:
            grey = A_PIXEL if COLORIZE in (self.post_processing or "") else None  # rows bring their own
            return GenerationRequest(prompt=prompt, seed=self.seed, grey=grey, **self.parameters())  # type: ignore[arg-type]
        except InvalidRequest as refusal:
            raise InvalidJob(refusal.message) from None

    def check_model_takes_it(self, rules: RequestRules) -> None:
        """Raises:
        InvalidJob: the model does not make that size or has no such parameter.
        """
        try:
            rules.resolve(self.request("x"))
        except InvalidRequest as refusal:
            raise InvalidJob(refusal.message) from None


def at_least(name: str, value: float | None, low: float) -> None:
    if value is not None and not value >= low:
        raise InvalidJob(f"{name} must be at least {low:g}, got {value}")


def between(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidJob(f"{name} must be a whole number from {low} to {high}, got {value!r}")


def parse_size(text: str) -> tuple[int, int]:
    """Width and height in pixels.

    Raises:
        InvalidJob: it is not like 64x64.
    """
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if match is None:
        raise InvalidJob(f"size must be WIDTHxHEIGHT in pixels, such as 64x64, got {text!r:.80}{size_meant(text)}")
    return int(match[1]), int(match[2])


def check_device(text: str) -> None:
    """Raises:
    InvalidJob: no device is called like that.
    """
    if re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", text) is None:
        number = re.fullmatch(r"(?:cuda|gpu)?\W?(\d{1,3})", text.lower())
        called = {"gpu": "cuda", "nvidia": "cuda"}.get(text.lower(), text)
        near = f"; did you mean cuda:{number[1]}?" if number else did_you_mean(called, ("auto", "cpu", "cuda"))
        raise InvalidJob(f"device must be auto, cpu, cuda or cuda:NUMBER such as cuda:1, got {text!r:.80}{near}")
