"""`imagegen serve`: Ray and Serve on this machine, from start to a clean stop."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidJob, WorkersFailed
from ..lean import lean
from ..quiet import ray_quiet
from ..ray_flow import OBJECT_STORE, SPARE_CPUS, root_cause
from ..stage import Source
from ..steps import step
from ..words import counted
from ..worker_imports import import_path, own_code
from . import proxy
from .keys import VARIABLE, read_keys
from .ports import bound, free_port
from .settings import ServeSettings

APP = "imagegen"
LOOK = 2.0  # seconds between two looks at whether Ray lives
SERVE_STOPPING, RAY_STOPPING = 10.0, 30.0  # seconds to end
STARTING = 60.0  # seconds for a replica that has loaded its model to say so
CALM = {
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",  # 0.1 by default
    # A replica has one event loop instead of three, so a request wakes a thread less often at every step. Nothing of
    # ours blocks a loop: models and encoders have threads. This process, which knows no loop, keeps the defaults.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
}
ERRORS = {proxy.CALLBACK: proxy.IMPORT_PATH}
# Ray's 15 lets whatever else the machine does go first, which is right for a job in the background, not for a server.
PRIORITY = {"RAY_worker_niceness": "0"}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is up."""

    url: str
    handle: Any  # of the ingress
    gcs: str  # host:port of Ray's control process

    def drain(self, seconds: float) -> bool:
        """Take nothing more; whether all that was in flight is answered within so many seconds, which it is not where
        the ingress has ended."""
        from ray.exceptions import RayError
        from ray.serve.exceptions import RayServeException

        try:
            return bool(self.handle.drain.remote(seconds).result(timeout_s=seconds + 10))
        except (RayError, RayServeException, TimeoutError):
            return False

    def wait(self, told: threading.Event) -> None:
        """Until `told` is set.

        Raises:
            WorkersFailed: Ray's control process has ended, and with it the server. Ray itself would end this process
                a minute later, without a word.
        """
        while not told.wait(LOOK):
            if not listened_to(self.gcs) and not told.wait(LOOK) and not listened_to(self.gcs):
                raise WorkersFailed(
                    f"the server at {self.url} is lost: Ray's control process on this machine (gcs_server, {self.gcs}) "
                    "has ended, killed perhaps because memory was short; start the same command again, and see "
                    "--log-file. Batches go on where they stopped"
                )


def check_address(settings: ServeSettings, host: str, port: int, anonymous: bool) -> int:
    """The port, chosen here where 0 is given.

    Raises:
        InvalidJob: nobody may be let in there without a key, or the port cannot be had.
    """
    if host not in LOOPBACK and not read_keys(settings.api_keys) and not anonymous:
        raise InvalidJob(
            f"{host} can be reached from elsewhere, and no API key is asked for; give --api-keys FILE or {VARIABLE}, "
            "or say --allow-anonymous, or listen on 127.0.0.1"
        )
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return bound(family, address) if port else free_port(family, address)
    except OSError as error:
        raise InvalidJob(f"cannot listen on {host}:{port} ({error.strerror or error}); give another --port") from error


@contextmanager
def server_running(
    settings: ServeSettings, source: Source, host: str, port: int, log_file: str | None = None
) -> Iterator[Running]:
    """Up when this yields, gone afterwards. `drain` first where requests in flight shall be finished.

    Raises:
        WorkersFailed: the model could not be loaded.
    """
    step("starting Ray on this machine")
    from ray import serve  # before its log handlers are silenced

    from ..ray_flow import ray

    with ray_quiet(log_file), import_path():
        # All of them, but for the replicas' share: the ingress and Serve's own actors reserve none.
        replicas = settings.max_replicas or settings.replicas or 1
        cpus = max(os.cpu_count() or 1, int(replicas * settings.cpus_per_replica + 0.999)) + SPARE_CPUS
        with lean(**CALM, **ERRORS, **PRIORITY):
            ray.init(
                address="local",  # never a cluster that happens to run here
                job_config=own_code(None),
                num_cpus=cpus,
                object_store_memory=OBJECT_STORE,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        try:
            yield start(settings, source, host, port)
            within(SERVE_STOPPING, serve.shutdown)
        finally:  # after an interruption this alone, for Serve would wait for what is in flight
            within(RAY_STOPPING, ray.shutdown)


def within(seconds: float, stop: Callable[[], object]) -> None:
    """Call it and wait no longer than that: it asks processes that may have ended, as on SIGTERM to all of them."""
    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    thread.join(seconds)


def listened_to(address: str) -> bool:
    """Whether a process has the port, be it too busy to answer."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), LOOK).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return True
    return True


def replicas_here(settings: ServeSettings) -> int | None:
    """One a core where nobody says how many and the model runs on the CPU: it computes with one thread."""
    from .deployments import gpus_of

    if settings.replicas or settings.max_replicas or gpus_of(settings):
        return settings.replicas
    return max(1, int((os.cpu_count() or 1) / (settings.cpus_per_replica or 1)))


def start(settings: ServeSettings, source: Source, host: str, port: int) -> Running:
    import ray
    from ray import serve

    from .deployments import application

    quiet = {"enable_access_log": False, "log_level": "WARNING"}
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}"
    own = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, shown)
    settings = settings.model_copy(update={"own_url": f"http://{own}:{port}", "replicas": replicas_here(settings)})
    step(f"starting the server at {url}")
    serve.start(proxy_location="HeadOnly", http_options={"host": host, "port": port}, logging_config=quiet)
    replicas = settings.replicas or 1
    step(f"loading {source.name} in {counted(replicas, 'process', 'processes')}")
    try:
        handle = serve.run(application(settings, source), name=APP, route_prefix="/", logging_config=quiet)
    except RuntimeError as error:
        raise WorkersFailed(f"the server could not be started: {root_cause(error)}") from error
    if not handle.wait_ready.remote(STARTING).result(timeout_s=STARTING + 10):
        raise WorkersFailed("the server was started, but no replica says that it is ready; see --log-file")
    return Running(url, handle, ray.get_runtime_context().gcs_address)
