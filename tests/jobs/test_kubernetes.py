"""`imagegen schedule --kubernetes`: valid by KubeRay's own schemas and Kubernetes', and refused where it cannot be."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.job_files.reading import load_job
from jobs.kubernetes.cron_job import CREATE
from jobs.kubernetes.exporting import manifests_of
from jobs.kubernetes.resources import MOUNT, Target, dumped
from pipelines.errors import InvalidJob
from tests.infra.schemas import KUBERAY, LONGEST, ROOT, mistakes

SETTINGS = {
    "prompts": "s3://bucket/prompts",
    "output": "s3://bucket/out",
    "extend": True,
    "workers": 4,
    "gpus_per_worker": 1,
    "schedule": {"cron": "30 2 * * *", "time_zone": "Europe/Berlin", "retries": 2},
}
BASE = ROOT / "infra/kubernetes/base"
needs_schemas = pytest.mark.skipif(not KUBERAY.exists(), reason="KubeRay's schemas are not beside the project")


def manifests(folder: Path, cron_job: bool = False, queue: str | None = None, **settings: Any) -> list[dict[str, Any]]:
    path = folder / "nightly.yaml"
    path.write_text("# the night\n" + yaml.safe_dump({**SETTINGS, **settings}, sort_keys=False))
    target = Target("registry/imagegen:1", "pictures", cron_job, queue, "low")
    return list(yaml.safe_load_all(dumped(manifests_of(load_job(path), target))))


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """As Kubernetes matches the label selectors that the base uses."""
    assert all(expression["operator"] == "Exists" for expression in selector.get("matchExpressions", ()))
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        expression["key"] in labels for expression in selector.get("matchExpressions", ())
    )


@needs_schemas
@pytest.mark.parametrize("cron_job", [False, True])
def test_the_manifests_are_valid_and_a_wrong_field_is_not(tmp_path: Path, cron_job: bool) -> None:
    schedule = {**SETTINGS["schedule"], **({"missed": "skip"} if cron_job else {})}  # type: ignore[dict-item]
    found = manifests(tmp_path, cron_job, schedule=schedule)
    assert {manifest["metadata"]["namespace"] for manifest in found} == {"pictures"}
    kinds = [manifest["kind"] for manifest in found]
    if cron_job:
        assert kinds == ["ConfigMap", "ConfigMap", "ServiceAccount", "Role", "RoleBinding", "CronJob"]
        ray_job = yaml.safe_load(found[1]["data"]["rayjob.yaml"])
        found.append(ray_job)
        spec, job = found[5]["spec"], ray_job["spec"]
        assert spec["concurrencyPolicy"] == "Forbid" and spec["startingDeadlineSeconds"] == 60
    else:
        assert kinds == ["ConfigMap", "RayCronJob"]
        spec, job = found[1]["spec"], found[1]["spec"]["jobTemplate"]
    for manifest in found:
        assert mistakes(manifest) == []
    assert (spec["schedule"], spec["timeZone"], job["backoffLimit"]) == ("30 2 * * *", "Europe/Berlin", 2)
    job["rayClusterSpec"]["workerGroupSpec"] = job["rayClusterSpec"]["workerGroupSpecs"]
    assert any("workerGroupSpec" in mistake for mistake in mistakes(found[-1]))


def test_the_job_file_travels_as_it_is_and_workers_are_what_it_asks_for(tmp_path: Path) -> None:
    config, ray = manifests(tmp_path)
    assert config["data"]["nightly.yaml"] == (tmp_path / "nightly.yaml").read_text()
    cluster = ray["spec"]["jobTemplate"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    assert group["replicas"] == 4 and container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["image"] == "registry/imagegen:1"
    mounts = cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert f"{mounts[0]['mountPath']}/nightly.yaml" in ray["spec"]["jobTemplate"]["entrypoint"]


def test_its_pods_are_at_home_in_the_namespace_of_the_base(tmp_path: Path) -> None:
    """Nothing but its label lets the pod that submits through the base's network policy."""
    job = manifests(tmp_path)[1]["spec"]["jobTemplate"]
    policy = yaml.safe_load((BASE / "network-policy.yaml").read_text())["spec"]
    to_every_port = [rule["from"] for rule in policy["ingress"] if "ports" not in rule]
    labels = job["submitterPodTemplate"]["metadata"]["labels"]
    assert any(selects(source["podSelector"], labels) for sources in to_every_port for source in sources)
    (group,) = job["rayClusterSpec"]["workerGroupSpecs"]
    worker, head = (part["template"]["spec"] for part in (group, job["rayClusterSpec"]["headGroupSpec"]))
    base = yaml.safe_load((BASE / "cluster.yaml").read_text())["spec"]["workerGroupSpecs"][1]["template"]["spec"]
    assert worker["containers"][0]["lifecycle"] == base["containers"][0]["lifecycle"]
    assert worker["terminationGracePeriodSeconds"] == base["terminationGracePeriodSeconds"]
    spot = (BASE.parent / "components/cloud/kustomization.yaml").read_text()
    keys = {toleration["key"] for toleration in worker["tolerations"]} - {"nvidia.com/gpu"}
    assert len(keys) == 3 and all(key in spot for key in keys) and "tolerations" not in head
    assert worker["priorityClassName"] == head["priorityClassName"] == "low"


def test_the_days_of_the_week_go_by_name(tmp_path: Path) -> None:
    """KubeRay and Kubernetes know no 7 and no range over the end of the week."""
    for days, named in (("7", "sun"), ("fri-sun", "fri,sat,sun"), ("1-5", "mon,tue,wed,thu,fri"), ("*", "*")):
        ray = manifests(tmp_path, schedule={"cron": f"0 6 * * {days}"})[1]
        assert ray["spec"]["schedule"] == f"0 6 * * {named}"


@pytest.mark.parametrize(("cron_job", "longest"), [(False, 27), (True, 32)])
def test_a_name_is_no_longer_than_kuberay_takes(tmp_path: Path, cron_job: bool, longest: int) -> None:
    *_, last = manifests(tmp_path, cron_job, name="n" * longest)
    added = len("-abcde") if cron_job else 0
    limit = LONGEST["RayJob" if cron_job else "RayCronJob"]
    assert len(last["metadata"]["name"]) + added == limit
    with pytest.raises(InvalidJob, match=f"has {longest + 1} characters, KubeRay takes {longest}"):
        manifests(tmp_path, cron_job, name="n" * (longest + 1))


def test_a_cron_jobs_run_is_of_its_day_whatever_the_retry(tmp_path: Path) -> None:
    found = manifests(tmp_path, cron_job=True, queue="nights", output="s3://bucket/{date}/{run_id}")
    job = yaml.safe_load(found[1]["data"]["rayjob.yaml"])
    assert job["spec"]["entrypoint"].endswith("--date @created@") and "@created@" in CREATE
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "nights"
    (subject,) = found[4]["subjects"]
    assert subject["namespace"] == "pictures", "the API server takes no account without one"


@pytest.mark.parametrize(
    ("states", "status", "asked"),
    [
        ("Initializing Running Complete", 0, 3),
        ("- Running -unavailable Running gone", 0, 5),
        ("Running Failed", 1, 3),
        ("ValidationFailed", 1, 2),  # KubeRay never looks at it again
    ],
)
def test_the_creator_stays_until_the_run_is_over(tmp_path: Path, states: str, status: int, asked: int) -> None:
    """The script itself, before a kubectl that says what a server would."""
    (tmp_path / "rayjob.yaml").write_text("entrypoint: run --date @created@\n")
    (tmp_path / "states").write_text(states.replace(" ", "\n") + "\n")
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        f"""#!/bin/sh
cd {tmp_path}
if [ $1 = create ]; then cat > created.yaml; echo rayjob.ray.io/night-abcde; exit; fi
echo "$@" >> asked
state=$(head -n 1 states); sed -i 1d states
case "$state" in gone) ;; -) echo RayJob/ ;; -unavailable) exit 1 ;; *) echo "RayJob/$state" ;; esac
"""
    )
    kubectl.chmod(0o755)
    script = CREATE.replace(MOUNT, str(tmp_path)).replace("sleep 20", "sleep 0")
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    run = subprocess.run(["/bin/sh", "-c", script], env={"PATH": path}, timeout=60, check=False)
    assert run.returncode == status
    assert len((tmp_path / "asked").read_text().splitlines()) == asked
    created = (tmp_path / "created.yaml").read_text()
    assert created.startswith("entrypoint: run --date 20") and created.endswith("Z\n")


@pytest.mark.parametrize(
    ("every", "cron"),
    [("15 min", "*/15 * * * *"), ("1 h", "0 */1 * * *"), ("6 h", "0 */6 * * *"), ("1 d", "0 0 * * *")],
)
def test_an_interval_that_cron_can_say(tmp_path: Path, every: str, cron: str) -> None:
    assert manifests(tmp_path, schedule={"every": every})[1]["spec"]["schedule"] == cron


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"schedule": {"every": "30 s"}}, "cron cannot say every 30 s"),
        ({"schedule": {"every": "7 h"}}, "cron cannot say every 7 h"),
        ({"schedule": {"every": "1 h", "overlap": "queue"}}, "cannot queue"),
        ({"schedule": None}, "no schedule"),
        ({"schedule": {"every": "1 h", "missed": "run_once"}}, "schedule.missed: .* take --cron-job"),
        ({"schedule": {"every": "1 h", "retry_seconds": 60}}, "schedule.retry_seconds: KubeRay tries again at once"),
        ({"schedule": {"cron": "0 2 */2 * mon"}}, "fit both \\*/2 and mon"),
        ({"output": "out"}, "output: out must be a URL"),
        ({"c2pa_certificate": "/c.pem", "c2pa_key": "k.pem"}, "c2pa_key: k.pem must be an absolute path"),
        ({"output": "s3://b/{run_id}"}, "output: {run_id}"),
        ({"output": "s3://b/{date}"}, "output: {date} is another for each try .* take --cron-job"),
        ({"queue": "nights"}, "--queue nights: .* take --cron-job"),
    ],
)
def test_what_kubernetes_cannot_do_is_refused(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidJob, match=words.replace("{", "\\{")):
        manifests(tmp_path, **settings)
