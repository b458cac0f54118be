"""The settings of the online server: of `imagegen serve`, of `serve run ... name=value`, and of the YAML's `args`."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from imagen_model.grey_picture import LARGEST_FILE
from imagen_model.post_processing import MAX_UPSCALED

from ..credential_files import CredentialFiles, credential_files
from ..errors import InvalidJob
from ..job import check_device
from ..model_options import ModelOptionFields

MAX_N = 10  # pictures of one request, as in OpenAI's API


class ServeSettings(ModelOptionFields):
    """With the options of diffusers models. Apart from the model and these none of it changes a pixel, and only
    `metadata` and a certificate a byte of a file.

    Args:
        model: name or URL as `pipelines.weights.find_source` takes it.
        replicas: processes that hold the model; None for one a GPU, or where there are none: one a core of this
            machine with `imagegen serve`, else one.
        max_replicas: with it Serve scales from `replicas` up to so many, by what waits.
        gpus_per_replica: None for 1 where there are GPUs, else 0; a fraction shares one.
        cpus_per_replica: reserved for each.
        batch_size: most pictures computed together; None for the model's own choice.
        device: auto, cpu, cuda or cuda:1.
        max_queue: pictures that may wait or be made at once; a request beyond is answered 429 at once.
        deadline: seconds within which a request is answered, with 504 if it must be.
        api_keys: a file with one key a line; beside it, or instead, `IMAGEGEN_API_KEYS` holds keys between commas.
        rate_limit: pictures a minute for each key; None for no limit.
        max_body: bytes of a request's body.
        max_image_megabytes: of a picture to be colorized.
        metadata: what pictures' files say of their making: none, provenance or full.
        c2pa_certificate, c2pa_key: files of a certificate chain and its private key, in the same place on every node,
            by which finished pictures are signed.
        max_upscale: pixels a side that post-processing may make; 8192 of them squared are 200 MB a picture.
        url_seconds, url_megabytes: how long, and how much of them together, pictures asked for by URL are kept.
        public_url: what these URLs begin with, such as https://images.example.org; None for the address asked.
        batch_folder: folder or URL of files and batches, which outlive the server; None for `imagegen/batches` in the
            user's data folder. One server at a time.
        own_url: where processes beside this server reach it; `imagegen serve` knows by itself.
        max_file_megabytes: of a file for a batch.
        max_batch_requests: that a batch may have.
        keep_days: how long files and finished batches are kept.
        cors_origins: origins whose pages may call the API, between commas; None for none but its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "imagen-small"
    replicas: int | None = Field(default=None, ge=1)
    max_replicas: int | None = Field(default=None, ge=1)
    gpus_per_replica: float | None = Field(default=None, ge=0)
    cpus_per_replica: float = Field(default=1.0, ge=0)
    batch_size: int | None = Field(default=None, ge=1)
    device: str = "auto"
    max_queue: int = Field(default=256, ge=MAX_N, le=100_000)
    deadline: float = Field(default=120.0, gt=0, le=86_400)
    api_keys: str | None = None
    rate_limit: int | None = Field(default=None, ge=MAX_N)
    max_body: int = Field(default=2**20, ge=1024, le=2**30)
    max_image_megabytes: float = Field(default=20.0, gt=0, le=LARGEST_FILE / 2**20)
    metadata: Literal["none", "provenance", "full"] = "none"
    c2pa_certificate: str | None = None
    c2pa_key: str | None = None
    max_upscale: int = Field(default=2048, ge=1, le=MAX_UPSCALED)
    url_seconds: float = Field(default=3600.0, gt=0)
    url_megabytes: float = Field(default=256.0, gt=0)
    public_url: str | None = Field(default=None, pattern=r"^https?://[^/\s]+(/\S*)?$")
    batch_folder: str | None = None
    own_url: str = Field(default="http://127.0.0.1:8000", pattern=r"^https?://[^/\s]+$")
    max_file_megabytes: float = Field(default=200.0, gt=0, le=10_000)
    max_batch_requests: int = Field(default=50_000, ge=1, le=1_000_000)
    keep_days: float = Field(default=30.0, gt=0)
    cors_origins: str | None = None

    @property
    def credential_files(self) -> CredentialFiles | None:
        """Raises:
        InvalidJob: one of the two is missing.
        """
        return credential_files(self.c2pa_certificate, self.c2pa_key)

    @field_validator("device")
    @classmethod
    def device_is_one(cls, text: str) -> str:
        try:
            check_device(text)
        except InvalidJob as problem:
            raise ValueError(str(problem).partition(" ")[2]) from None
        return text

    @model_validator(mode="after")
    def replicas_fit(self) -> ServeSettings:
        if self.max_replicas is not None and self.max_replicas < (self.replicas or 1):
            raise ValueError(f"max_replicas ({self.max_replicas}) must be at least replicas ({self.replicas or 1})")
        return self
