"""A real Prometheus scrapes a running job; the dashboard and the rules name what there is."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from jobs.metrics import JobMetrics, serving
from pipelines.errors import InvalidJob
from pipelines.online.ports import free_port
from pipelines.progress import Progress

ROOT = Path(__file__).parents[2]
DASHBOARD, RULES = ROOT / "infra/batch/grafana.json", ROOT / "infra/batch/alerts.yml"
COMMAND = [sys.executable, "-c", "from jobs.cli import main; main()"]
NAME = re.compile(r"imagegen_job_\w+")
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Prometheus is not installed (Debian's package prometheus)"
)


def expressions() -> list[str]:
    """What the dashboard asks, with its variables filled in."""
    panels = json.loads((DASHBOARD).read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    return [text.replace("$__rate_interval", "1m").replace("$instance", ".*") for text in asked]


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the metrics of a run with more rows than it can make meanwhile; every fourth fails."""
    folder = tmp_path_factory.mktemp("job")
    rows = [{"prompt": "" if number % 4 == 0 else f"a picture of {number}"} for number in range(40_000)]
    (folder / "prompts.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    options = ["--model", "flat-colour", "--workers", "1", "--shard-rows", "8", "--no-report", "--metrics-port", "0"]
    arguments = ["generate", str(folder / "prompts.jsonl"), str(folder / "out"), *options]
    with subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        said = run.stderr.readline()
        found = re.search(r"metrics are at (http://127\.0\.0\.1:\d+/metrics)", said)
        assert found, said
        try:
            yield found[1]
        finally:
            run.send_signal(signal.SIGTERM)
            run.communicate(timeout=120)
    assert run.returncode == 130


@pytest.fixture(scope="module")
def served(job: str) -> set[str]:
    """Names of the metrics once the first shard is done."""
    deadline = time.monotonic() + 120
    while "imagegen_job_left_seconds" not in (text := read(job)):
        assert time.monotonic() < deadline, text
        time.sleep(0.2)
    return set(re.findall(r"^(imagegen_\w+)[{ ]", text, re.M))


@pytest.fixture(scope="module")
def prometheus(job: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    target = urllib.parse.urlsplit(job).netloc
    (folder / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(RULES)],
                "scrape_configs": [{"job_name": "imagegen-job", "static_configs": [{"targets": [target]}]}],
            }
        )
    )
    address = f"127.0.0.1:{free_port()}"
    options = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["prometheus", *options, f"--web.listen-address={address}"], stderr=log)
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def ask(prometheus: str, path: str, **query: str) -> Any:
    """What Prometheus answers; None while it starts."""
    try:
        answer = json.loads(read(f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(query)}"))
    except urllib.error.HTTPError as error:
        if error.code == 503:
            return None
        raise AssertionError(f"{query}: {error.read().decode()}") from None
    except urllib.error.URLError:
        return None
    return answer["data"]


def value(prometheus: str, expression: str, moment: float) -> float:
    (found,) = ask(prometheus, "query", query=expression, time=str(moment))["result"]
    return float(found["value"][1])


def rule_states(prometheus: str) -> dict[str, str]:
    (group,) = ask(prometheus, "rules")["groups"]
    return {rule["name"]: rule["health"] for rule in group["rules"]}


@needs_prometheus
def test_a_real_prometheus_answers_all_that_the_dashboard_asks(prometheus: str) -> None:
    unanswered = expressions()
    deadline = time.monotonic() + 120
    while unanswered:
        assert time.monotonic() < deadline, unanswered
        answers = [(text, ask(prometheus, "query", query=text)) for text in unanswered]
        unanswered = [text for text, answer in answers if answer is None or not answer["result"]]
        time.sleep(0.2)
    now = time.time()
    made = value(prometheus, "imagegen_job_images_total", now)
    assert made == 3 * value(prometheus, 'imagegen_job_failures_total{code="empty_prompt"}', now) > 0
    assert value(prometheus, "imagegen_job_queue_images", now) == 40_000 - made * 4 / 3
    assert value(prometheus, "imagegen_job_bytes_total", now) > made
    while "unknown" in (states := rule_states(prometheus)).values():
        assert time.monotonic() < deadline, states
        time.sleep(0.2)
    assert set(states.values()) == {"ok"} and len(states) == 4, states


def test_the_dashboard_the_rules_and_the_docs_name_the_metrics_that_there_are(served: set[str]) -> None:
    for text in (" ".join(expressions()), (RULES).read_text()):
        named = set(NAME.findall(text))
        assert len(named) >= 5 and named <= served, named - served
    assert set(NAME.findall((ROOT / "docs/how-to/monitor.md").read_text())) == served


@pytest.mark.parametrize(("verb", "file"), [("check", RULES), ("test", ROOT / "tests/jobs/alerts_test.yml")])
def test_promtool_takes_the_rules(verb: str, file: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    run = subprocess.run(["promtool", verb, "rules", str(file)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_gpus_are_told_apart_filtered_pictures_from_failures_and_no_time_left_from_none() -> None:
    metrics, registry = JobMetrics({"output": 'a "name"\n'}), CollectorRegistry()
    registry.register(metrics)
    assert "imagegen_job_images_total" not in generate_latest(registry).decode()
    busy = {("node:7", "0"): 1.5, ("node:8", "1"): 2.0, ("other:9", ""): 0.0}
    codes = {"content_filtered": 3, "empty_prompt": 1}
    metrics(Progress(8, 16, 1, 0.0, None, 1, 2, images=8, codes=codes, busy=busy))
    text = generate_latest(registry).decode()
    assert "images_total 4.0" in text and "filtered_total 3.0" in text and 'code="empty_prompt"} 1.0' in text
    assert 'busy_seconds_total{gpu="1",worker="node:8"} 2.0' in text and text.count("busy_seconds_total{") == 3
    assert (
        "content_filtered" not in text
        and "imagegen_job_left_seconds" not in text
        and 'output="a \\"name\\"\\n"' in text
    )


def test_a_port_that_is_taken_is_told_of() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InvalidJob, match=f"127.0.0.1:{port} .*another --metrics-port"), serving(port, None, {}):
            raise AssertionError("it was served")


def test_without_a_port_nothing_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(None, None, {}) as metrics:
        metrics(Progress(0, 8, 0, 0.0, None, 0, 1))
    assert capsys.readouterr().err == ""
