"""One client for every server that is measured: so many requests at once, each for one picture."""

from __future__ import annotations

import base64
import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock, local

from imagen_model.generation import GenerationRequest

from .bare import requests
from .cores import Cores, count_cores


@dataclass(frozen=True, slots=True)
class Steady:
    """A server in its steady state.

    Args:
        rate: images a second.
        served, asking: seconds of a core that a picture took, of the server's processes and of this one.
        others: cores that other programs had meanwhile.
    """

    rate: float
    served: float
    asking: float
    others: float


class Client:
    def __init__(self, port: int, at_once: int) -> None:
        self.port, self.at_once = port, at_once
        self.mine = local()  # a connection for every thread, kept as clients with a pool of them do

    def ask(self, request: GenerationRequest) -> bytes:
        """The picture's file.

        Raises:
            RuntimeError: another status than 200.
        """
        if not hasattr(self.mine, "connection"):
            self.mine.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection = self.mine.connection
        body = json.dumps({"prompt": request.prompt, "seed": request.seed})
        connection.request("POST", "/v1/images/generations", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the server answered {answer.status}: {content[:300]!r}")
        return base64.b64decode(json.loads(content)["data"][0]["b64_json"])

    def make(self, images: int) -> None:
        """So many, whose time does not count."""
        with ThreadPoolExecutor(self.at_once) as threads:
            list(threads.map(self.ask, requests(images, "imagen-small")))

    def steady(self, images: int) -> Steady:
        """So many images while so many requests are at once on their way: neither the first, whose batches are not
        full, nor the last, when no more come."""
        marks: list[tuple[float, Cores]] = []
        answered, lock = 0, Lock()

        def one(request: GenerationRequest) -> None:
            nonlocal answered
            self.ask(request)
            with lock:
                answered += 1
                if answered in (self.at_once, self.at_once + images):
                    marks.append((time.perf_counter(), count_cores()))

        with ThreadPoolExecutor(self.at_once) as threads:
            list(threads.map(one, requests(images + 2 * self.at_once, "imagen-small")))
        (begun, before), (ended, after) = marks
        seconds, spent = ended - begun, after - before
        return Steady(
            images / seconds,
            (spent.ours - spent.here) / images,
            spent.here / images,
            (spent.busy - spent.ours) / seconds,
        )
