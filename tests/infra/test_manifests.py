"""What stands in infra/kubernetes is what Kubernetes and KubeRay take, to the field, and is safe as it stands."""

from __future__ import annotations

import copy
import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from jobs.settings import read_settings
from tests.infra.schemas import KUBERAY, RAY_KINDS, ROOT, mappings, mistakes

KUBERNETES = ROOT / "infra/kubernetes"
JOB_KINDS = ("RayJob", "RayCronJob")
# Whole resources, as they stand before an overlay changes them.
RESOURCES = sorted(
    path
    for folder in ("base", "components")
    for path in (KUBERNETES / folder).rglob("*.yaml")
    if path.name not in {"kustomization.yaml", "nodes.yaml"}
)
OVERLAYS = sorted(path.parent for path in (KUBERNETES / "overlays").rglob("kustomization.yaml"))
NAMES = [str(path.relative_to(KUBERNETES / "overlays")) for path in OVERLAYS]
FREE = {"labels", "annotations", "matchLabels", "rayStartParams", "requests", "limits", "data"}  # names are the user's

pytestmark = pytest.mark.skipif(not KUBERAY.exists(), reason=f"KubeRay's schemas are not at {KUBERAY}")


def resources(path: Path) -> list[dict[str, Any]]:
    """Of a file; a RayService with the cluster that its overlays give it, without which it is none."""
    found = list(yaml.safe_load_all(path.read_text()))
    for manifest in found:
        if manifest["kind"] == "RayService":
            manifest["spec"]["rayClusterConfig"] = yaml.safe_load((KUBERNETES / "base/cluster.yaml").read_text())[
                "spec"
            ]
    return found


def kustomize() -> list[str]:
    """The command that builds an overlay."""
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    pytest.skip("neither kustomize nor kubectl is installed")


@pytest.fixture(scope="module")
def built() -> dict[str, list[dict[str, Any]]]:
    """Overlay -> its resources."""
    command = kustomize()
    found = {}
    for name, folder in zip(NAMES, OVERLAYS, strict=True):
        said = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
        assert said.returncode == 0, (name, said.stderr)
        found[name] = list(yaml.safe_load_all(said.stdout))
    return found


@pytest.mark.parametrize("path", RESOURCES, ids=lambda path: str(path.relative_to(KUBERNETES)))
def test_every_resource_is_valid(path: Path) -> None:
    for manifest in resources(path):
        assert mistakes(manifest) == []


def test_every_overlay_is_valid(built: dict[str, list[dict[str, Any]]]) -> None:
    assert len(built) == 7
    for name, manifests in built.items():
        for manifest in manifests:
            assert mistakes(manifest) == [], (name, manifest["kind"])


def test_each_overlay_brings_the_one_kind_that_it_is_named_after(built: dict[str, list[dict[str, Any]]]) -> None:
    wanted = {"cluster": "RayCluster", "job": "RayJob", "nightly": "RayCronJob", "service": "RayService"}
    for name, manifests in built.items():
        rays = [manifest["kind"] for manifest in manifests if manifest["kind"] in RAY_KINDS]
        assert rays == [wanted[Path(name).name]], name


def test_a_wrong_field_name_anywhere_is_a_mistake() -> None:
    """Every mapping of every resource in turn is given a field that nobody knows."""
    tried = 0
    for path in RESOURCES:
        for manifest in resources(path):
            for place in mappings(manifest):
                if FREE.intersection(place) or (manifest["kind"], place) == ("Service", ("spec", "selector")):
                    continue
                if place[1:2] == ("rayClusterConfig",) and place[2:]:  # the base's own, tried there
                    continue
                wrong = copy.deepcopy(manifest)
                part = wrong
                for step in place:
                    part = part[step]
                part["nobodyKnowsThis"] = "x"
                assert mistakes(wrong), (path.name, place)
                tried += 1
    assert tried > 150


@pytest.mark.parametrize(
    ("path", "was", "wrong"),
    [
        ("base/cluster.yaml", "minReplicas", "minReplica"),
        ("base/cluster.yaml", "secretName", "secret"),
        ("base/cluster.yaml", "mode: token", "mode: tokens"),
        ("base/cluster.yaml", "replicas: 1", 'replicas: "1"'),
        ("components/job/job.yaml", "backoffLimit", "backoffLimits"),
        ("components/nightly/nightly.yaml", "timeZone", "timezone"),
        ("components/service/service.yaml", "serveConfigV2", "serveConfig"),
    ],
)
def test_a_misspelt_field_is_a_mistake(path: str, was: str, wrong: str) -> None:
    text = (KUBERNETES / path).read_text()
    assert was in text
    assert mistakes(yaml.safe_load(text.replace(was, wrong)))


def cluster_of(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]
    match manifest["kind"]:
        case "RayJob":
            spec = spec["rayClusterSpec"]
        case "RayCronJob":
            spec = spec["jobTemplate"]["rayClusterSpec"]
        case "RayService":
            spec = spec["rayClusterConfig"]
    return spec


def clusters(built: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [cluster_of(manifest) for many in built.values() for manifest in many if manifest["kind"] in RAY_KINDS]


def pods(built: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The spec of every pod that an overlay may start."""
    found = [cluster["headGroupSpec"]["template"]["spec"] for cluster in clusters(built)]
    found += [group["template"]["spec"] for cluster in clusters(built) for group in cluster["workerGroupSpecs"]]
    for manifest in (manifest for many in built.values() for manifest in many):
        if manifest["kind"] == "Deployment":
            found.append(manifest["spec"]["template"]["spec"])
        if manifest["kind"] == "RayJob":
            found.append(manifest["spec"]["submitterPodTemplate"]["spec"])
        if manifest["kind"] == "RayCronJob":
            found.append(manifest["spec"]["jobTemplate"]["submitterPodTemplate"]["spec"])
    return found


def test_an_autoscaler_can_speak_to_kubernetes_and_no_other_pod(built: dict[str, list[dict[str, Any]]]) -> None:
    """KubeRay makes the role, and binds it to the account that the head names; that account must be there."""
    for name, manifests in built.items():
        (account,) = [manifest for manifest in manifests if manifest["kind"] == "ServiceAccount"]
        (cluster,) = clusters({name: manifests})
        (policy,) = [manifest for manifest in manifests if manifest["kind"] == "NetworkPolicy"]
        head = cluster["headGroupSpec"]["template"]["spec"]
        assert cluster["enableInTreeAutoscaling"] == name.startswith("cloud/")
        assert head["automountServiceAccountToken"] == cluster["enableInTreeAutoscaling"], name
        assert head["serviceAccountName"] == account["metadata"]["name"]
        for pod in (pod for pod in pods({name: manifests}) if pod is not head):
            assert not pod.get("automountServiceAccountToken", account["automountServiceAccountToken"]), name
        open_ports = [port["port"] for rule in policy["spec"]["egress"] if "to" not in rule for port in rule["ports"]]
        assert {443, 6443} <= set(open_ports)


def test_every_cluster_asks_for_its_token(built: dict[str, list[dict[str, Any]]]) -> None:
    for cluster in clusters(built):
        assert cluster["authOptions"] == {"mode": "token", "secretName": "imagegen-ray-token"}


def test_no_pod_is_root_or_without_limits(built: dict[str, list[dict[str, Any]]]) -> None:
    assert len(pods(built)) > 20
    for pod in pods(built):
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 1000
        for container in pod["containers"]:
            assert not container["securityContext"]["allowPrivilegeEscalation"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            for kind in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][kind]), container["name"]
            assert ":" in container["image"] and not container["image"].endswith(":latest")


def test_secrets_are_named_and_never_written(built: dict[str, list[dict[str, Any]]]) -> None:
    for manifest in (manifest for many in built.values() for manifest in many):
        assert manifest["kind"] != "Secret"
    for container in (container for pod in pods(built) for container in pod["containers"]):
        assert all("value" not in variable for variable in container.get("env", ()))


def test_workers_leave_in_good_order(built: dict[str, list[dict[str, Any]]]) -> None:
    for group in (group for cluster in clusters(built) for group in cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert command[0] == "leave-node" and int(command[1]) < pod["terminationGracePeriodSeconds"]


def test_spot_machines_are_tolerated_by_their_own_group_alone(built: dict[str, list[dict[str, Any]]]) -> None:
    (cluster,) = [cluster_of(manifest) for manifest in built["cloud/job"] if manifest["kind"] == "RayJob"]
    keys = {
        group["groupName"]: {toleration["key"] for toleration in group["template"]["spec"]["tolerations"]}
        for group in cluster["workerGroupSpecs"]
    }
    assert keys["gpu"] == {"nvidia.com/gpu"} and "cloud.google.com/gke-spot" in keys["spot-gpu"]
    assert "tolerations" not in cluster["headGroupSpec"]["template"]["spec"]


def test_runs_wait_in_kueues_queue_and_yield(built: dict[str, list[dict[str, Any]]]) -> None:
    (job,) = [manifest for manifest in built["cloud/job"] if manifest["kind"] == "RayJob"]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "imagegen"
    classes = {m["metadata"]["name"]: m["value"] for m in built["cloud/job"] if m["kind"] == "PriorityClass"}
    assert classes["imagegen-batch"] < classes["imagegen-online"]
    for overlay, name in (("cloud/job", "imagegen-batch"), ("cloud/service", "imagegen-online")):
        for pod in pods({overlay: built[overlay]}):
            assert pod.get("priorityClassName", name) == name
        assert any("priorityClassName" in pod for pod in pods({overlay: built[overlay]}))
    assert [name for name, manifests in built.items() if "kueue" in str(manifests)] == ["cloud/job"]


def test_a_run_may_take_weeks_and_a_night_a_day(built: dict[str, list[dict[str, Any]]]) -> None:
    for overlay in ("laptop/job", "cloud/job"):
        (job,) = [manifest for manifest in built[overlay] if manifest["kind"] == "RayJob"]
        assert "activeDeadlineSeconds" not in job["spec"]
    (nightly,) = [manifest for manifest in built["cloud/nightly"] if manifest["kind"] == "RayCronJob"]
    assert nightly["spec"]["jobTemplate"]["activeDeadlineSeconds"] == timedelta(days=1).total_seconds()


def test_no_run_costs_clusters_for_an_error_that_comes_again(built: dict[str, list[dict[str, Any]]]) -> None:
    specs = [manifest["spec"] for many in built.values() for manifest in many if manifest["kind"] in JOB_KINDS]
    assert len(specs) == 3
    for spec in specs:
        job = spec.get("jobTemplate", spec)
        assert job["backoffLimit"] > 0 and "--fail-only-to-retry" in job["entrypoint"].split()


def test_every_day_has_the_nightly_runs_hour_once(built: dict[str, list[dict[str, Any]]]) -> None:
    (nightly,) = [manifest for manifest in built["cloud/nightly"] if manifest["kind"] == "RayCronJob"]
    minute, hour, *every_day = nightly["spec"]["schedule"].split()
    assert every_day == ["*"] * 3
    for day in range(365):
        moment = datetime(2027, 1, 1, int(hour), int(minute), tzinfo=ZoneInfo(nightly["spec"]["timeZone"]))
        moment += timedelta(days=day)
        assert moment.utcoffset() == moment.replace(fold=1).utcoffset(), moment


def test_every_overlay_has_a_network_policy(built: dict[str, list[dict[str, Any]]]) -> None:
    for name, manifests in built.items():
        (policy,) = [manifest for manifest in manifests if manifest["kind"] == "NetworkPolicy"]
        assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}, name
        assert all(rule.get("from") for rule in policy["spec"]["ingress"]), name


@pytest.mark.parametrize("path", sorted((KUBERNETES / "overlays").rglob("job.yaml")), ids=lambda path: path.parent.name)
def test_job_files_are_job_files(path: Path) -> None:
    assert read_settings(path, {}).output.startswith("s3://")
