"""One client for every server that is measured: so many requests at once, each for one picture."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from imagen_model.generation import GenerationRequest

from .bare import requests


class Client:
    def __init__(self, port: int, at_once: int) -> None:
        self.port, self.at_once = port, at_once

    def ask(self, request: GenerationRequest) -> bytes:
        """The picture's file.

        Raises:
            RuntimeError: another status than 200.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        body = json.dumps({"prompt": request.prompt, "seed": request.seed})
        connection.request("POST", "/v1/images/generations", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"the server answered {answer.status}: {content[:300]!r}")
        return base64.b64decode(json.loads(content)["data"][0]["b64_json"])

    def ended(self, images: int) -> Sequence[float]:
        """When each answer was there, in order, in seconds from the first request."""
        began = time.perf_counter()

        def one(request: GenerationRequest) -> float:
            self.ask(request)
            return time.perf_counter() - began

        with ThreadPoolExecutor(self.at_once) as threads:
            return sorted(threads.map(one, requests(images, "imagen-small")))

    def rate(self, images: int) -> float:
        """Images a second, from the first request to the last answer."""
        return images / self.ended(images)[-1]

    def steady_rate(self, images: int) -> float:
        """Images a second while so many requests are at once on their way: neither the first, whose batches are
        not full, nor the last, when no more come."""
        ended = self.ended(images + 2 * self.at_once)
        return images / (ended[self.at_once + images - 1] - ended[self.at_once - 1])
