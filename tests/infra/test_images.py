"""The Dockerfile, the compose file and Prometheus' configuration, as far as they can be checked without an engine."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.schemas import ROOT

DOCKERFILE = ROOT / "infra/docker/Dockerfile"
COMPOSE = ROOT / "infra/compose/compose.yaml"
TARGETS = ("cpu", "cuda")


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, arguments) in order, continued lines joined, comments gone."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines()) if name]


def stages(text: str) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for word, rest in instructions(text):
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = [(word, base)]
        elif name:
            found[name].append((word, rest))
    return found


def complaints(text: str) -> list[str]:
    """hadolint's rules that matter here, by its numbers."""
    found = []
    arguments = dict(rest.split("=", 1) for word, rest in instructions(text) if word == "ARG" and "=" in rest)
    named: set[str] = set()
    for name, lines in stages(text).items():
        base = re.sub(r"\$\{(\w+)\}", lambda match: arguments.get(match[1], ""), lines[0][1])
        if base not in named and not re.search(r":\d+\.\d+", base):
            found.append(f"DL3006, DL3007: {base} is no pinned version")
        named.add(name)
        for word, rest in lines:
            if word == "ADD":
                found.append(f"DL3020: ADD {rest}; COPY does no more than it says")
            if word == "RUN" and "apt-get install" in rest:
                found += ["DL3015: recommended packages"] * ("--no-install-recommends" not in rest)
                found += ["DL3009: apt's lists stay"] * ("rm -rf /var/lib/apt/lists" not in rest)
                found += ["DL3014: apt asks"] * ("--yes" not in rest)
            if word == "RUN" and "sudo " in rest:
                found.append("DL3004: sudo")
            if word == "RUN" and "pip install" in rest and "requirements.lock" not in rest:
                found.append(f"DL3013: packages that are not pinned by the lock file: {rest}")
            if word == "WORKDIR" and not rest.startswith("/"):
                found.append(f"DL3000: WORKDIR {rest}")
        if name in TARGETS:
            users = [rest for word, rest in lines if word == "USER"]
            if not users or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]):
                found.append(f"DL3002: {name} ends as {users[-1:] or 'root'}; a number that is not root's is wanted")
    return found


def test_the_dockerfile_keeps_the_rules() -> None:
    assert complaints(DOCKERFILE.read_text()) == []
    assert set(TARGETS) <= set(stages(DOCKERFILE.read_text()))


@pytest.mark.parametrize(
    ("was", "wrong", "rule"),
    [
        ("python:3.11.14-slim-bookworm", "python:latest", "DL3007"),
        ("USER 1000:1000", "USER root", "DL3002"),
        ("--no-install-recommends ", "", "DL3015"),
        (" \\\n    && rm -rf /var/lib/apt/lists/*", "", "DL3009"),
        ("COPY jobs jobs", "ADD jobs jobs", "DL3020"),
        ('pip install --constraint requirements.lock ".[', 'pip install ".[', "DL3013"),
    ],
)
def test_a_dockerfile_that_breaks_a_rule_is_told(was: str, wrong: str, rule: str) -> None:
    text = DOCKERFILE.read_text()
    assert was in text
    assert any(rule in complaint for complaint in complaints(text.replace(was, wrong)))


def sources(lines: list[tuple[str, str]]) -> list[str]:
    """What a stage copies out of the repository."""
    found = []
    for word, rest in lines:
        if word == "COPY" and not rest.startswith("--from="):
            found += rest.split()[:-1]
    return found


def test_every_file_that_is_copied_is_there_and_reaches_the_builder() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in {source for lines in stages(DOCKERFILE.read_text()).values() for source in sources(lines)}:
        assert (ROOT / source).exists(), source
        assert any(source == name or source.startswith(f"{name}/") for name in kept), f"{source} is ignored"
    assert not any(fnmatch.fnmatch(".git", name) for name in kept)


@pytest.mark.parametrize("target", TARGETS)
def test_the_model_is_a_layer_of_its_own_below_the_code(target: str) -> None:
    lines = [rest for word, rest in stages(DOCKERFILE.read_text())[target] if word == "COPY"]
    model = next(index for index, rest in enumerate(lines) if rest.startswith("imagen_model/checkpoints "))
    code = next(index for index, rest in enumerate(lines) if rest.startswith("--from=code /code "))
    packages = next(index for index, rest in enumerate(lines) if rest.startswith(f"--from={target}-packages "))
    assert packages < model < code
    text = DOCKERFILE.read_text()
    version = re.search(r"^ARG PYTHON=python:(\d+\.\d+)", text, re.M)
    assert version and set(re.findall(r"lib/python(\d+\.\d+)/", text)) == {version[1]}
    assert "rm -r /code/imagen_model/checkpoints" in text


def test_an_image_has_what_any_job_may_ask_for() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]) - {"dev"}
    installed = re.findall(r'"\.\[([\w,]+)\]"', DOCKERFILE.read_text())
    assert len(installed) == len(TARGETS)
    assert all(set(names.split(",")) == extras for names in installed)


def test_leave_node_is_a_script_that_runs() -> None:
    script = ROOT / "infra/docker/leave-node"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(script)], check=True)


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def check_compose(path: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", "vendor.compose-spec"]
    return subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)


def test_the_compose_file_is_one(tmp_path: Path) -> None:
    assert check_compose(COMPOSE).returncode == 0
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("stop_grace_period", "stop_grace_time"))
    assert check_compose(wrong).returncode != 0


def test_every_service_of_the_compose_file_stands_on_what_is_there() -> None:
    services = compose()["services"]
    assert set(services) == {"head", "worker", "gpu-worker", "server", "s3", "prometheus", "grafana"}
    targets = set(stages(DOCKERFILE.read_text()))
    for name, service in services.items():
        if "build" in service:
            assert (COMPOSE.parent / service["build"]["context"]).resolve() == ROOT
            assert service["build"]["target"] in targets
        else:
            assert re.search(r":(v?\d+\.\d+|RELEASE\.\d{4})", service["image"]), f"{name} is not pinned"
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} listens beyond this machine"
        for need in service.get("depends_on", ()):
            assert need in services
        for volume in service.get("volumes", ()):
            if volume.startswith("."):
                assert (COMPOSE.parent / volume.split(":")[0]).exists(), volume


def test_secrets_of_the_compose_file_come_from_outside() -> None:
    text = COMPOSE.read_text()
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    given = dict(
        line.split("=", 1) for line in (COMPOSE.parent / "example.env").read_text().splitlines() if "=" in line
    )
    assert needed == {"RAY_AUTH_TOKEN", "S3_ACCESS_KEY", "S3_SECRET_KEY", "GRAFANA_PASSWORD"}
    assert all(given[name] == "" for name in needed)
    assert compose()["x-ray"]["environment"]["RAY_AUTH_MODE"] == "token"


def test_no_service_is_shown_the_secrets() -> None:
    """Secrets are in the file .env beside the compose file, which git does not keep."""
    secrets = COMPOSE.with_name(".env")
    assert subprocess.run(["git", "check-ignore", "--quiet", str(secrets)], cwd=ROOT, check=False).returncode == 0
    for name, service in compose()["services"].items():
        for volume in service.get("volumes", ()):
            if volume.startswith("."):
                assert not secrets.is_relative_to((COMPOSE.parent / volume.split(":")[0]).resolve()), (name, volume)


def mounted(service: str) -> dict[str, Path]:
    """Path in the container -> here, of what comes from the repository."""
    volumes = [volume.split(":")[:2] for volume in compose()["services"][service]["volumes"] if volume.startswith(".")]
    return {inside: (COMPOSE.parent / here).resolve() for here, inside in volumes}


def test_prometheus_and_grafana_are_given_the_rules_and_dashboards_of_runs_and_server() -> None:
    folders = [ROOT / "infra/batch", ROOT / "infra/serve"]
    asked = yaml.safe_load((COMPOSE.parent / "prometheus.yml").read_text())["rule_files"]
    places = {place: folder for place, folder in mounted("prometheus").items() if folder.is_dir()}
    found = [path for rule in asked for path in places[str(Path(rule).parent)].glob(Path(rule).name)]
    assert sorted(found) == [folder / "alerts.yml" for folder in folders]
    provider = yaml.safe_load((COMPOSE.parent / "grafana/dashboards.yaml").read_text())["providers"][0]
    below = [folder for place, folder in mounted("grafana").items() if place.startswith(provider["options"]["path"])]
    assert sorted(below) == folders and all((folder / "grafana.json").exists() for folder in folders)


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    return subprocess.run(["promtool", *arguments], check=False, capture_output=True, text=True)


def test_prometheus_takes_its_configuration_and_the_rules(tmp_path: Path) -> None:
    text = (COMPOSE.parent / "prometheus.yml").read_text().replace("/etc/imagegen", str(ROOT / "infra"))
    (tmp_path / "right.yml").write_text(text)
    (tmp_path / "wrong.yml").write_text(text.replace("scrape_configs", "scrape_config"))
    said = promtool("check", "config", str(tmp_path / "right.yml"))
    assert said.returncode == 0 and "rules found" in said.stdout, said.stderr
    assert promtool("check", "config", str(tmp_path / "wrong.yml")).returncode != 0


def test_prometheus_asks_services_that_are_there() -> None:
    config = yaml.safe_load((COMPOSE.parent / "prometheus.yml").read_text())
    asked = [name for job in config["scrape_configs"] for names in job["dns_sd_configs"] for name in names["names"]]
    assert len(asked) == 5 and set(asked) <= set(compose()["services"])
