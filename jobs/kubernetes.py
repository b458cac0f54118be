"""A job file and its schedule for KubeRay: `imagegen schedule --kubernetes FILE | kubectl apply -f -`.

Each run gets a Ray cluster of its own, which goes when the run is over. The job file travels in a ConfigMap;
credentials and what the file's `${NAME}` stand for come from secrets that are named here and made by you. Two runs
at once are no danger, for the second finds the output's lease held and ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pipelines.errors import InvalidJob

from .exit_codes import ExitCode
from .job_files.reading import LoadedJob, load_job
from .job_files.runs import unreachable
from .job_files.settings import JobFile, Schedule
from .job_files.times import parse_interval

RAY_VERSION = "2.60.0"
MOUNT = "/etc/imagegen"
USER = 1000  # of the image
KUBECTL = "alpine/kubectl:1.34.1"
SECRETS = ("imagegen-s3", "imagegen-job")
POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
# A RayJob that is over is there for five minutes more.
CREATE = f"""set -e
job=$(kubectl create -f {MOUNT}/rayjob.yaml -o name)
while status=$(kubectl get "$job" -o jsonpath='{{.status.jobDeploymentStatus}}'); do
  case "$status" in Complete|Failed) exit 0 ;; esac
  sleep 20
done
"""
Manifest = dict[str, Any]


def print_kubernetes(files: Sequence[Path], image: str, cron_job: bool) -> int:
    """Raises:
    InvalidJob: the schedule or a path cannot be had there.
    """
    manifests = [manifest for file in files for manifest in manifests_of(load_job(file), image, cron_job)]
    print(dumped(manifests), end="")
    return ExitCode.SUCCESS


class Dumper(yaml.SafeDumper):
    """Text of several lines as a block, and no part written as a reference to another."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Dumper.add_representer(str, block)


def dumped(manifests: Sequence[Manifest]) -> str:
    return str(yaml.dump_all(manifests, Dumper=Dumper, sort_keys=False, width=100))


def manifests_of(job: LoadedJob, image: str, cron_job: bool) -> list[Manifest]:
    settings = job.settings
    if settings.schedule is None:
        raise InvalidJob(f"{job.source} has no schedule; add one like `schedule: {{cron: '30 2 * * *'}}`")
    check_fits(job, settings, settings.schedule)
    name = f"imagegen-{job.name}"
    labels = {"app.kubernetes.io/name": "imagegen", "app.kubernetes.io/instance": name}
    config = of_kind("v1", "ConfigMap", name, labels, data={"job.yaml": job.text})
    ray_job = ray_job_spec(name, settings, image)
    if cron_job:
        return [config, *creating(name, labels, settings.schedule, ray_job)]
    spec = {**when(settings.schedule), "jobTemplate": ray_job}
    return [config, of_kind("ray.io/v1", "RayCronJob", name, labels, spec=spec)]


def check_fits(job: LoadedJob, settings: JobFile, schedule: Schedule) -> None:
    wrong = []
    if schedule.overlap == "queue":
        wrong.append("schedule.overlap: Kubernetes cannot queue runs; give overlap: skip")
    if "{run_id}" in settings.output:
        wrong.append("output: {run_id} is another for each retry there, which would begin anew; use {date}")
    wrong += (f"{name}: {message}" for name, message in unreachable(settings))
    if wrong:
        raise InvalidJob(
            f"{job.source} cannot run on Kubernetes as it is:\n" + "\n".join(f"  {line}" for line in wrong)
        )


def when(schedule: Schedule) -> Manifest:
    """Kubernetes leaves out a time that spring skips, and may run one twice that autumn shows twice."""
    if schedule.cron is not None:
        return {"schedule": schedule.cron, "timeZone": schedule.time_zone}
    assert schedule.every is not None
    minutes, rest = divmod(parse_interval(schedule.every).total_seconds(), 60)
    hours, over = divmod(minutes, 60)
    if rest == 0 and minutes < 60 and 60 % minutes == 0:
        cron = f"*/{minutes:.0f} * * * *"
    elif rest == over == 0 and hours <= 24 and 24 % hours == 0:
        cron = f"0 */{hours:.0f} * * *" if hours < 24 else "0 0 * * *"
    else:
        raise InvalidJob(f"cron cannot say every {schedule.every}; give minutes that divide an hour, hours that divide "
                         "a day, or a cron expression")  # fmt: skip
    return {"schedule": cron, "timeZone": "Etc/UTC"}


def ray_job_spec(name: str, settings: JobFile, image: str) -> Manifest:
    assert settings.schedule is not None
    return {
        "entrypoint": f"imagegen job run {MOUNT}/job.yaml --accept-failed-rows",  # else each is a retry, with a cluster
        "entrypointNumCpus": 0,
        "submissionMode": "K8sJobMode",
        "submitterPodTemplate": {"spec": {"restartPolicy": "Never", **pod("ray-job-submitter", image, "1", "1Gi")}},
        # Each retry has a new cluster and goes on where the last one stopped.
        "backoffLimit": settings.schedule.retries,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 300,
        "rayClusterSpec": cluster(name, settings, image),
    }


def cluster(name: str, settings: JobFile, image: str) -> Manifest:
    """A head that runs no worker, and a node for each worker that the file asks for."""
    head = pod("ray-head", image, "2", "4Gi")
    head["containers"][0]["volumeMounts"] = [{"name": "job", "mountPath": MOUNT, "readOnly": True}]
    head["volumes"] = [{"name": "job", "configMap": {"name": name}}]
    gpus = settings.gpus_per_worker or 0.0
    worker = pod("ray-worker", image, f"{settings.cpus_per_worker + 1:.0f}", "16Gi")
    if gpus:
        worker["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = str(max(1, round(gpus)))
        worker["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    return {
        "rayVersion": RAY_VERSION,
        "authOptions": {"mode": "token", "secretName": "imagegen-ray-token"},
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0", "num-gpus": "0", "dashboard-host": "0.0.0.0"},
            "template": {"spec": head},
        },
        "workerGroupSpecs": [
            {
                "groupName": "workers",
                "replicas": settings.workers or 1,
                "minReplicas": settings.workers or 1,
                "maxReplicas": settings.workers or 1,
                "rayStartParams": {},
                "template": {"spec": {**worker, "terminationGracePeriodSeconds": 120}},
            }
        ],
    }


def pod(container: str, image: str, cpus: str, memory: str) -> Manifest:
    return {
        "automountServiceAccountToken": False,
        "securityContext": POD_SECURITY,
        "containers": [
            {
                "name": container,
                "image": image,
                "envFrom": [{"secretRef": {"name": secret, "optional": True}} for secret in SECRETS],
                "securityContext": SECURITY,
                "resources": {"requests": {"cpu": cpus, "memory": memory}, "limits": {"cpu": cpus, "memory": memory}},
            }
        ],
    }


def creating(name: str, labels: Manifest, schedule: Schedule, ray_job: Manifest) -> list[Manifest]:
    """A CronJob whose pod creates the RayJob and stays until it is over, so that `Forbid` keeps the next one off."""
    ray = of_kind("ray.io/v1", "RayJob", "", labels, spec=ray_job)
    ray["metadata"] = {"generateName": f"{name}-", "labels": labels}
    account = f"{name}-creator"
    return [
        of_kind("v1", "ConfigMap", f"{name}-rayjob", labels, data={"rayjob.yaml": dumped([ray])}),
        of_kind("v1", "ServiceAccount", account, labels),
        of_kind(
            "rbac.authorization.k8s.io/v1",
            "Role",
            account,
            labels,
            rules=[{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "get", "list", "watch"]}],
        ),
        of_kind(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            account,
            labels,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
            subjects=[{"kind": "ServiceAccount", "name": account}],
        ),
        of_kind("batch/v1", "CronJob", name, labels, spec=cron_job_spec(name, account, schedule)),
    ]


def cron_job_spec(name: str, account: str, schedule: Schedule) -> Manifest:
    creator = {
        "restartPolicy": "Never",
        "serviceAccountName": account,
        "securityContext": POD_SECURITY,
        "containers": [
            {
                "name": "create",
                "image": KUBECTL,
                "command": ["/bin/sh", "-c", CREATE],
                "securityContext": SECURITY,
                "resources": {
                    "requests": {"cpu": "50m", "memory": "64Mi"},
                    "limits": {"cpu": "200m", "memory": "128Mi"},
                },
                "volumeMounts": [{"name": "rayjob", "mountPath": MOUNT, "readOnly": True}],
            }
        ],
        "volumes": [{"name": "rayjob", "configMap": {"name": f"{name}-rayjob"}}],
    }
    missed = {} if schedule.missed == "run_once" else {"startingDeadlineSeconds": 60}
    template = {"spec": {"backoffLimit": 0, "template": {"spec": creator}}}
    return {**when(schedule), "concurrencyPolicy": "Forbid", **missed, "jobTemplate": template}


def of_kind(version: str, kind: str, name: str, labels: Manifest, **parts: Any) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels}, **parts}
