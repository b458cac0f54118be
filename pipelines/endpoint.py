"""A running `imagegen serve` as a job's model: its GPUs make the pictures; the job names, stores and counts them.

One pool of GPUs then serves both. Requests of jobs carry a header by which the server lets online requests pass.
The pictures are those of the same model on this machine: they travel as PNG, which keeps every pixel.
"""

from __future__ import annotations

import base64
import io
import os
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx2
from PIL import Image

from imagen_model.catalog import ModelNotFound, used_name
from imagen_model.generation import (
    PARAMETERS,
    ErrorCode,
    Failure,
    GenerationRequest,
    GreyPicture,
    RequestRules,
    Result,
    SizeRange,
    Success,
)

from .errors import EndpointUnavailable

API_KEY = "IMAGEGEN_API_KEY"
PRIORITY = {"X-Imagegen-Priority": "batch"}
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 600.0  # seconds; a request may wait long behind online ones
FIRST_PATIENCE, PATIENCE = 5.0, 180.0  # seconds of trying: before the server has answered once, and afterwards
LONGEST_PAUSE = 10.0
PASSING = {408, 409, 429, 502, 503, 504}
AT_ONCE = 16
CONTENT_POLICY = "content_policy_violation"  # OpenAI's name of `content_filtered`


@dataclass(frozen=True, slots=True)
class EndpointModel:
    """A model behind a server's OpenAI Images API. The fields are as in `imagen_model.catalog.ModelSource`.

    Args:
        key: of the server, as the driver's environment has it; a cluster's workers have another.
    """

    url: str
    name: str
    revision: str
    rules: RequestRules
    key: str | None = field(default=None, repr=False)

    def load(self, batch_size: int | None = None, device: str = "auto") -> EndpointGenerator:
        """Args:
        batch_size: requests under way at once. The device is the server's own choice.
        """
        return EndpointGenerator(self, batch_size or AT_ONCE)


def find_endpoint(url: str, model: str) -> EndpointModel:
    """Ask the server for its model.

    Raises:
        ModelNotFound: it serves others.
        EndpointUnavailable: it does not answer, refuses the key, or is no server of this program.
    """
    key = os.environ.get(API_KEY)
    with Server(url, key) as server:
        entries = server.call("GET", "/v1/models", FIRST_PATIENCE).get("data", [])
    try:
        served = {entry["id"]: entry for entry in entries}
        wanted = used_name(model)
        if wanted not in served:
            raise ModelNotFound(f"{url} does not serve {model!r}; give one of its models: {', '.join(served)}")
        entry = served[wanted]
        sizes = [size.split("x") for size in entry["sizes"]]
        rules = RequestRules(
            tuple((int(width), int(height)) for width, height in sizes),
            entry["defaults"],
            entry["limits"],
            entry["takes_negative_prompt"],
            tuple(entry.get("post_processing", ())),  # a server from before there was any
            SizeRange(**entry["size_range"]) if entry.get("size_range") else None,
        )
        return EndpointModel(url, wanted, entry["revision"], rules, key)
    except ModelNotFound:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise EndpointUnavailable(
            f"{url} does not say what its models take ({error!r}); give the address of an `imagegen serve`"
        ) from error


class EndpointGenerator:
    """Asks the server for each picture, several at once."""

    def __init__(self, model: EndpointModel, batch_size: int) -> None:
        self.model, self.batch_size, self.rules = model, batch_size, model.rules
        self.server = Server(model.url, model.key)
        self.threads = ThreadPoolExecutor(batch_size, thread_name_prefix="endpoint")

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Result]:
        """Raises:
        EndpointUnavailable: the server has been silent for minutes, or refuses all requests.
        """
        return list(self.threads.map(self.ask, requests))

    def ask(self, request: GenerationRequest) -> Result:
        began = time.perf_counter()
        body = {"model": self.model.name, "n": 1, "response_format": "b64_json", "output_format": "png"}
        body |= {"prompt": request.prompt, "seed": request.seed, "negative_prompt": request.negative_prompt}
        body |= {name: getattr(request, name) for name in (*PARAMETERS, "post_processing")}
        if request.width is not None and request.height is not None:
            body["size"] = f"{request.width}x{request.height}"
        given = {name: value for name, value in body.items() if value is not None}
        try:
            if request.grey is None:
                answer = self.server.call("POST", "/v1/images/generations", PATIENCE, given)
            else:
                answer = self.server.call("POST", "/v1/images/edits", PATIENCE, given, png_of(request.grey))
        except Refused as refusal:
            return Failure(refusal.code, refusal.message)
        with Image.open(io.BytesIO(base64.b64decode(answer["data"][0]["b64_json"]))) as picture:
            return Success(picture.convert("RGB"), time.perf_counter() - began)


def png_of(grey: GreyPicture) -> bytes:
    """It keeps every pixel."""
    file = io.BytesIO()
    grey.image().save(file, "PNG")
    return file.getvalue()


class Refused(Exception):
    """The server refuses one request for its own sake."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Server:
    """The server's HTTP side; safe to use from several threads."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        headers = PRIORITY | ({"Authorization": f"Bearer {key}"} if key else {})
        timeout = httpx2.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT)
        self.client = httpx2.Client(base_url=self.url, headers=headers, timeout=timeout)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def call(
        self,
        method: str,
        path: str,
        patience: float,
        body: dict[str, Any] | None = None,
        image: bytes | None = None,
    ) -> dict[str, Any]:
        """The answer's JSON; what may pass is waited for.

        Args:
            body: sent as JSON, or with an image as a form.

        Raises:
            Refused: the request cannot be answered.
            EndpointUnavailable: no answer within `patience` seconds of trying, or none that is ours.
        """
        silent_since = time.monotonic()
        pause = 0.2
        while True:
            wait, trouble = None, ""
            try:
                if image is None:
                    answer = self.client.request(method, path, json=body)
                else:
                    answer = self.client.request(method, path, data=body, files={"image": ("grey.png", image)})
                if answer.status_code == 429:  # it is there and busy: no reason to give up
                    silent_since = time.monotonic()
                if answer.status_code not in PASSING:
                    return self.content(answer)
                wait, trouble = answer.headers.get("Retry-After"), f"status {answer.status_code}: {answer.text:.200}"
            except httpx2.TransportError as error:
                trouble = f"{type(error).__name__}: {error}"
            if time.monotonic() - silent_since > patience:
                raise EndpointUnavailable(
                    f"{self.url} gave no good answer within {patience:.0f} s ({trouble}); start `imagegen serve`, or "
                    "check the address, then run the same command again"
                )
            time.sleep(float(wait) if wait and wait.isdecimal() else pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, LONGEST_PAUSE)

    def content(self, answer: httpx2.Response) -> dict[str, Any]:
        try:
            content = answer.json()
            if answer.is_success and isinstance(content, dict):
                return content
            error = content["error"]
            code, message = error.get("code"), str(error["message"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise EndpointUnavailable(
                f"{self.url} answers with status {answer.status_code} and nothing that can be read "
                f"({answer.text:.80!r}); give the address of an `imagegen serve`"
            ) from None
        if answer.status_code in (401, 403, 404):
            raise EndpointUnavailable(f"{self.url} refuses: {message} (the key comes from {API_KEY})")
        code = ErrorCode.CONTENT_FILTERED if code == CONTENT_POLICY else code
        known = code if code in set(ErrorCode) else ErrorCode.GENERATION_FAILED
        raise Refused(ErrorCode(known), message)
