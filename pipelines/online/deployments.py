"""The server as two Serve deployments: one ingress, which speaks HTTP, and replicas, which hold the model.

There is one ingress process, because the queue's limit, idempotency and the pictures kept for their URLs are in its
memory; it computes nothing. Replicas tell it of themselves once a second, by a call of their own.

No `from __future__ import annotations` here: Serve looks at the type of `build_app`'s argument.
"""

import asyncio
import dataclasses
import os
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, cast

# Read by Ray at import.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")

import ray
from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from imagen_model.generation import RequestRules

from ..calibrating import settled
from ..content_credentials import check_server_credentials, open_credentials
from ..endpoint import API_KEY
from ..heap import keep_heap
from ..job import Pool
from ..provenance import Provenance
from ..stage import Source
from ..storage import open_store
from ..weights import find_source
from .app import create_app
from .batches.api import Batches
from .batches.runner import BatchRunner, Surroundings
from .batches.store import BatchStore
from .errors import ApiError, model_loading, queue_full, replica_died
from .keys import Keys, read_keys
from .replica import Event, Job, Load, Painter, Picture, Refusal
from .service import ServedModel, Service
from .settings import ServeSettings

INGRESS, MODEL = "Ingress", "Model"
TELL_EVERY = 1.0  # seconds
QUIET = {"enable_access_log": False}  # else each `hear` is a line
OTHER_REQUESTS = 1024  # at once, beside those that make pictures: health, metrics, files, refusals


class Model:
    """A replica."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, source: Source, settings: ServeSettings, fingerprint: str | None
    ) -> None:
        """Args:
        fingerprint: of the certificate that signs; None where none does.
        """
        credentials = open_credentials(settings.credential_files, source.name, source.revision, fingerprint)
        keep_heap()
        generator = await asyncio.to_thread(source.load, settings.batch_size, settings.device)
        provenance = Provenance(source.name, source.revision, settings.metadata)
        self.painter = Painter(generator, settings.batch_size, settings.max_queue, provenance, credentials)
        self.telling = asyncio.get_running_loop().create_task(self.tell())

    async def paint(self, job: Job) -> list[Picture] | Refusal:
        return await self.painter.paint(job)

    async def watch(self, job: Job) -> AsyncGenerator[Event]:
        async with aclosing(self.painter.watch(job)) as events:
            async for event in events:
                yield event

    async def tell(self) -> None:
        """For ever; what could not be told is told the next time."""
        replica = str(ray.get_runtime_context().get_actor_id())
        app = serve.get_replica_context().app_name
        ingress: DeploymentHandle | None = None
        while True:
            load = self.painter.load(replica)
            try:
                ingress = ingress or serve.get_deployment_handle(INGRESS, app)
                await asyncio.wait_for(ingress.hear.remote(load), 10)
            except (RayError, RayServeException, TimeoutError):  # the ingress is not there yet, or starts again
                self.painter.batches[:0] = load.batches[-1000:]
            await asyncio.sleep(TELL_EVERY)


class Replicas:
    """The model behind its Serve handle: the `Backend` of a real server."""

    def __init__(self, handle: DeploymentHandle, service: Service | None = None) -> None:
        self.painting = handle.paint
        self.watching = handle.options(method_name="watch", stream=True)
        self.service = service

    async def paint(self, job: Job) -> list[Picture] | Refusal:
        response = self.painting.remote(job)
        try:
            return cast("list[Picture] | Refusal", await response)
        except (RayError, RayServeException) as error:
            raise self.error_of(error) from error
        except asyncio.CancelledError:
            response.cancel()
            raise

    async def watch(self, job: Job) -> AsyncGenerator[Event]:
        response: Any = self.watching.remote(job)
        ended = False
        try:
            async for event in response:
                yield event
            ended = True
        except (RayError, RayServeException) as error:
            ended = True
            raise self.error_of(error) from error
        finally:
            if not ended:
                response.cancel()

    def error_of(self, error: Exception) -> ApiError:
        if isinstance(error, RayActorError):
            if self.service is not None and error.actor_id:
                self.service.metrics.forget(str(error.actor_id))
            return replica_died()
        if isinstance(error, BackPressureError):
            return queue_full(self.service.settings.max_queue if self.service else 0, 1)
        if isinstance(error, RayServeException):
            return model_loading()
        return ApiError(500, "internal_error", f"the model's process failed: {type(error).__name__}")


@serve.ingress()  # type: ignore[arg-type]
class Ingress:
    def __init__(
        self, handle: DeploymentHandle, settings: ServeSettings, model: ServedModel, digests: tuple[bytes, ...]
    ) -> None:
        backend = Replicas(handle)
        self.service = Service(settings, model, Keys(digests, settings.rate_limit), backend)
        backend.service = self.service
        store = BatchStore(open_store(batch_folder(settings)))
        self.batches = Batches(self.service, store, BatchRunner(store, surroundings(settings, self.service)))

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(self.service, self.batches)

    async def hear(self, load: Load) -> None:
        self.service.metrics.hear(load)
        self.batches.runner.start()  # there is somebody to make the pictures

    async def wait_ready(self, seconds: float) -> bool:
        """Whether a replica has told of itself by then."""
        ends = time.monotonic() + seconds
        while not self.service.ready and time.monotonic() < ends:
            await asyncio.sleep(0.05)
        return self.service.ready

    async def drain(self, seconds: float) -> bool:
        """Refuse what comes; whether all that was in flight is answered by then."""
        self.batches.runner.stop()
        return await self.service.drain(seconds)


def surroundings(settings: ServeSettings, service: Service) -> Surroundings:
    environment = {API_KEY: service.keys.admit_internal()} if service.keys.digests else {}
    address = str(ray.get_runtime_context().gcs_address)
    names = tuple(sorted(service.model.names))
    seconds = settings.keep_days * 24 * 3600
    most, files = settings.max_batch_requests, settings.credential_files
    return Surroundings(settings.own_url, names, address, most, settings.metadata, environment, seconds, files)


def batch_folder(settings: ServeSettings) -> str:
    if settings.batch_folder is not None:
        return settings.batch_folder
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return str(Path(base).expanduser() / "imagegen" / "batches")


def build_app(args: ServeSettings) -> serve.Application:
    """For `serve run pipelines.online:build_app model=imagen-small` and the YAML of `serve deploy`.

    Raises:
        ModelNotFound, InvalidJob: nothing is started.
    """
    return application(args, find_source(args.model, settled(args.model, args.options(), Pool(device=args.device))))


def upscaling_to(rules: RequestRules, largest: int) -> RequestRules:
    """`rules` with post-processing held to sides of so many pixels; the model's own sizes stay."""
    limit = min(largest, rules.limits.get("upscale", largest))
    return dataclasses.replace(rules, limits={**rules.limits, "upscale": limit})


def application(settings: ServeSettings, source: Source) -> serve.Application:
    """The two deployments, the model bound into the ingress.

    Raises:
        InvalidJob: the certificate or its key cannot be used.
    """
    fingerprint = check_server_credentials(settings.credential_files)
    names = frozenset({source.name, settings.model})
    rules = upscaling_to(source.rules, settings.max_upscale)
    model = ServedModel(source.name, source.revision, rules, names, int(time.time()))
    patience = settings.deadline + 5
    # Whatever the ingress lets in may wait at one replica: its batcher then sees all of it.
    options: dict[str, Any] = {
        "name": MODEL,
        "max_ongoing_requests": settings.max_queue + 1,
        "max_queued_requests": settings.max_queue,
        "ray_actor_options": {"num_cpus": settings.cpus_per_replica, "num_gpus": gpus_of(settings)},
        "graceful_shutdown_timeout_s": patience,
        "logging_config": QUIET,
    }
    if settings.max_replicas is None:
        options["num_replicas"] = replicas_of(settings)
    else:
        options["autoscaling_config"] = {
            "min_replicas": settings.replicas or 1,
            "max_replicas": settings.max_replicas,
            "target_ongoing_requests": 2 * (settings.batch_size or 16),
        }
    replicas = serve.deployment(**options)(Model).bind(source, settings, fingerprint)
    ingress = serve.deployment(
        name=INGRESS,
        num_replicas=1,
        max_ongoing_requests=settings.max_queue + OTHER_REQUESTS,
        max_queued_requests=OTHER_REQUESTS,
        backpressure_config={"status_code": 429, "retry_after_s": 1},
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=patience,
        logging_config=QUIET,
    )(Ingress)
    return ingress.bind(replicas, settings, model, read_keys(settings.api_keys))


def gpus_found() -> float:
    """Of the cluster, where there is one to ask; this is also called before Ray runs."""
    with suppress(Exception):
        if ray.is_initialized():
            return float(ray.cluster_resources().get("GPU", 0.0))
    return 0.0


def gpus_of(settings: ServeSettings) -> float:
    if settings.gpus_per_replica is not None:
        return settings.gpus_per_replica
    return 1.0 if settings.device != "cpu" and gpus_found() >= 1 else 0.0


def replicas_of(settings: ServeSettings) -> int:
    if settings.replicas is not None:
        return settings.replicas
    each = gpus_of(settings)
    return max(1, int(gpus_found() / each)) if each else 1
