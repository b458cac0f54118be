"""`imagegen schedule --kubernetes`: valid by KubeRay's own schemas and Kubernetes', and refused where it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.job_files.reading import load_job
from jobs.kubernetes import dumped, manifests_of
from pipelines.errors import InvalidJob
from tests.infra.schemas import KUBERAY, mistakes

SETTINGS = {
    "prompts": "s3://bucket/prompts",
    "output": "s3://bucket/out-{date}",
    "workers": 4,
    "gpus_per_worker": 1,
    "schedule": {"cron": "30 2 * * *", "time_zone": "Europe/Berlin", "retries": 2, "missed": "skip"},
}
needs_schemas = pytest.mark.skipif(not KUBERAY.exists(), reason="KubeRay's schemas are not beside the project")


def manifests(folder: Path, cron_job: bool = False, **settings: Any) -> list[dict[str, Any]]:
    path = folder / "nightly.yaml"
    path.write_text("# the night\n" + yaml.safe_dump({**SETTINGS, **settings}, sort_keys=False))
    return list(yaml.safe_load_all(dumped(manifests_of(load_job(path), "registry/imagegen:1", cron_job))))


@needs_schemas
@pytest.mark.parametrize("cron_job", [False, True])
def test_the_manifests_are_valid_and_a_wrong_field_is_not(tmp_path: Path, cron_job: bool) -> None:
    found = manifests(tmp_path, cron_job)
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
    assert config["data"]["job.yaml"] == (tmp_path / "nightly.yaml").read_text()
    cluster = ray["spec"]["jobTemplate"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    assert group["replicas"] == 4 and container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["image"] == "registry/imagegen:1"
    mounts = cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert f"{mounts[0]['mountPath']}/job.yaml" in ray["spec"]["jobTemplate"]["entrypoint"]


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
        ({"output": "out"}, "output: out must be a URL"),
        ({"c2pa_certificate": "/c.pem", "c2pa_key": "k.pem"}, "c2pa_key: k.pem must be an absolute path"),
        ({"output": "s3://b/{run_id}"}, "output: {run_id}"),
    ],
)
def test_what_kubernetes_cannot_do_is_refused(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidJob, match=words.replace("{", "\\{")):
        manifests(tmp_path, **settings)
