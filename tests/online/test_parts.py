"""The server's parts that need no server: what is kept and for how long, keys, and the files in infra/serve."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import socket
import threading
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from imagen_model.flat_colour import RULES
from imagen_model.generation import GenerationRequest, GreyPicture, InvalidRequest
from pipelines.errors import InvalidJob, WorkersFailed
from pipelines.online import running, stores
from pipelines.online.batcher import Batch
from pipelines.online.deployments import upscaling_to
from pipelines.online.errors import ApiError
from pipelines.online.keys import VARIABLE, Keys, read_keys
from pipelines.online.metrics import STALE, Metrics
from pipelines.online.replica import Load
from pipelines.online.running import Running, check_address, replicas_here
from pipelines.online.settings import ServeSettings
from pipelines.online.steps_pattern import numbers, steps_pattern
from pipelines.online.stores import Answers, FileStore

ROOT = Path(__file__).parents[2]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_files_go_when_they_expire_and_the_oldest_when_there_is_no_room() -> None:
    clock = Clock()
    store = FileStore(seconds=60, max_bytes=10, clock=clock)
    one = store.put(b"12345", "png", "image/png")
    clock.now += 30
    two = store.put(b"12345", "png", "image/png")
    assert one != two and len(one) > 40 and store.get(one) and store.get(two)
    three = store.put(b"1", "png", "image/png")
    assert store.get(one) is None and store.get(two) and store.bytes == 6
    clock.now += 60
    assert store.get(two) is None and store.get(three) is None and store.bytes == 0


def test_answers_are_bounded_expire_and_failures_free_their_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "ANSWERS", 2)
    clock = Clock()
    answers = Answers(clock)
    for key in ("a", "b", "c"):
        assert answers.begin("", key, b"body") is None
        answers.end("", key, b"answer")
    assert answers.begin("", "a", b"body") is None  # the oldest went
    with pytest.raises(ApiError) as conflict:
        answers.begin("", "a", b"body")
    assert conflict.value.status == 409
    with pytest.raises(ApiError) as other:
        answers.begin("", "a", b"another")
    assert other.value.status == 422
    answers.end("", "a", None)
    assert answers.begin("", "a", b"another") is None
    stored = answers.begin("", "c", b"body")
    assert stored is not None and stored.body == b"answer"
    assert answers.begin("somebody else", "c", b"body") is None
    clock.now += stores.ANSWERS_SECONDS
    assert answers.begin("", "c", b"body") is None and answers.bytes == 0


def test_keys_come_from_a_file_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert read_keys(None) == ()
    path = tmp_path / "keys"
    path.write_text("# ours\nfirst-key-of-the-file\n\nsecond-key-of-the-file\n")
    monkeypatch.setenv(VARIABLE, "key-of-the-environment, first-key-of-the-file")
    digests = read_keys(str(path))
    assert len(digests) == 3 and all(len(digest) == 32 for digest in digests)
    keys = Keys(digests, None)
    owners = {keys.owner(f"Bearer {key}") for key in ("first-key-of-the-file", "key-of-the-environment")}
    assert len(owners) == 2 and not any("key-of" in owner for owner in owners)
    path.write_text("short\n")
    with pytest.raises(InvalidJob, match="at least 16"):
        read_keys(str(path))
    path.write_text("# none\n")
    with pytest.raises(InvalidJob, match="holds no API key"):
        read_keys(str(path))


def test_a_rate_is_each_keys_own_and_fills_up_again() -> None:
    clock = Clock()
    keys = Keys((), 60, clock)
    keys.spend("one", 60)
    with pytest.raises(ApiError) as used:
        keys.spend("one", 10)
    assert used.value.status == 429 and used.value.headers["retry-after"] == "10"
    keys.spend("two", 10)
    clock.now += 10
    keys.spend("one", 10)


def test_a_replica_that_says_nothing_counts_as_gone() -> None:
    clock = Clock()
    metrics = Metrics(clock)
    metrics.fly(5)
    metrics.hear(Load("a", queued=1, running=2, batches=(Batch(4, 0.5),)))
    metrics.hear(Load("b", queued=0, running=1, batches=()))
    assert (metrics.running, metrics.queued, len(metrics.alive())) == (3, 2, 2)
    clock.now += STALE
    metrics.hear(Load("b", queued=0, running=1, batches=()))
    assert (metrics.running, metrics.queued, len(metrics.alive())) == (1, 4, 1)


def metric_names() -> set[str]:
    names = set()
    for line in Metrics().text().decode().splitlines():
        if found := re.match(r"# TYPE (imagegen_\w+) (\w+)", line):
            parts = ("_bucket", "_sum", "_count") if found[2] == "histogram" else ("",)
            names |= {found[1] + part for part in parts}
    return {name for name in names if not name.endswith("_created")}


def test_the_dashboard_and_the_docs_name_the_metrics_that_there_are() -> None:
    dashboard = json.loads((ROOT / "infra/serve/grafana.json").read_text())
    named = set(re.findall(r"imagegen_\w+", json.dumps([panel["targets"] for panel in dashboard["panels"]])))
    assert named <= metric_names() and len(named) >= 12
    page = (ROOT / "docs/how-to/serve.md").read_text()
    for name in metric_names():
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert base in page, base


def test_the_yaml_is_what_serve_and_the_builder_take() -> None:
    from ray.serve.schema import ServeDeploySchema

    from pipelines.online import build_app
    from pipelines.online.deployments import INGRESS

    given = yaml.safe_load((ROOT / "infra/serve/serve.yaml").read_text())
    (app,) = ServeDeploySchema.model_validate(given).applications
    assert app.import_path == "pipelines.online:build_app"
    (parameter,) = inspect.signature(build_app).parameters.values()
    assert parameter.annotation is ServeSettings  # else Serve would not check the arguments
    built = build_app(ServeSettings(**app.args))
    assert built._bound_deployment.name == INGRESS


@pytest.mark.parametrize(("low", "high"), [(1, 8192), (64, 1024), (16, 16), (512, 1024), (999, 1001), (5, 7)])
def test_numbers_of_a_pattern_are_those_and_no_others(low: int, high: int) -> None:
    pattern = re.compile(numbers(low, high))
    assert [number for number in range(10_000) if pattern.fullmatch(str(number))] == list(range(low, high + 1))


def test_the_pattern_of_post_processing_is_what_the_rules_take() -> None:
    colouring = dataclasses.replace(RULES, post_processing=("colorize", *RULES.post_processing))
    plain, after = (re.compile(steps_pattern(colouring, 64, 64, colorize) or "") for colorize in (False, True))
    for steps in (
        "colorize",
        " colorize , denoise,sharpen=1",
        "denoise, colorize",
        "colorize, colorize",
        "denoise",
        "sharpen=0.85,denoise",
        " upscale=64x1024 , sharpen=5.00\n",
        "upscale=63x64",
        "upscale=64x1025",
        "denoise,denoise",
        "sharpen=5.01",
        "sharpen=.5",
        "sharpen",
        "denoise=1",
        "",
        "denoise,",
    ):
        for pattern, grey in ((plain, None), (after, GreyPicture(1, 1, b"x", ""))):
            try:
                colouring.resolve(GenerationRequest("a", 1, post_processing=steps, grey=grey))
                taken = True
            except InvalidRequest:
                taken = False
            assert bool(pattern.search(steps)) == taken, steps


def test_post_processing_online_is_bounded_by_the_server() -> None:
    assert upscaling_to(RULES, 2048).limits["upscale"] == RULES.limits["upscale"]
    narrow = upscaling_to(RULES, 100)
    with pytest.raises(InvalidRequest, match=r"post_processing: upscale=101x64 is more than the 100 pixels"):
        narrow.resolve(GenerationRequest("a", 1, post_processing="upscale=101x64"))


def test_settings_are_checked_with_the_number_at_fault() -> None:
    for wrong in ({"max_queue": 9}, {"replicas": 3, "max_replicas": 2}, {"public_url": "ftp://x"}, {"unknown": 1}):
        with pytest.raises(ValidationError):
            ServeSettings(**wrong)


def test_without_gpus_a_replica_a_core_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    for given, replicas in (
        ({}, 6),
        ({"cpus_per_replica": 4.0}, 1),
        ({"cpus_per_replica": 0.0}, 6),
        ({"replicas": 2}, 2),
        ({"max_replicas": 3}, None),  # Serve chooses, from one up
        ({"gpus_per_replica": 1.0}, None),  # as many as there are GPUs
    ):
        assert replicas_here(ServeSettings(**given)) == replicas


def test_a_server_whose_ray_has_ended_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LOOK", 0.05)
    told = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as control:
        server = Running("http://127.0.0.1:8000", None, f"127.0.0.1:{control.getsockname()[1]}")
        threading.Timer(0.3, told.set).start()
        server.wait(told)
    told.clear()
    with pytest.raises(WorkersFailed, match=r"gcs_server.*has ended.*start the same command again"):
        server.wait(told)


def test_a_stop_that_nobody_answers_is_not_waited_for() -> None:
    never = threading.Event()
    running.within(0.05, never.wait)
    never.set()
    done = threading.Event()
    running.within(10.0, done.set)
    assert done.is_set()


def test_a_port_of_the_servers_choice_is_none_that_the_system_gives_to_clients() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    for _ in range(20):
        port = check_address(ServeSettings(model="flat-colour"), "127.0.0.1", 0, False)
        assert port >= 20_000 and not first <= port <= last
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        with pytest.raises(InvalidJob, match=f"cannot listen on 127.0.0.1:{taken}"):
            check_address(ServeSettings(model="flat-colour"), "127.0.0.1", taken, False)
