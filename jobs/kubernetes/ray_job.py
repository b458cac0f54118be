"""A run as KubeRay's RayJob: a Ray cluster of its own, which goes when the run is over.

Two runs at once are no danger, for the second finds the output's lease held and ends.
"""

from __future__ import annotations

from ..job_files.settings import JobFile
from .resources import MOUNT, POD_SECURITY, SECURITY, Manifest, Target

RAY_VERSION = "2.60.0"
SECRETS = ("imagegen-s3", "imagegen-job")  # named here, made by you
# By this label the network policy of infra/kubernetes lets a pod reach the head of a cluster.
SUBMITTER = {"app.kubernetes.io/component": "imagegen-submitter"}
CREATED = "@created@"  # stands for the moment at which a RayJob is created, in its entry point
# Spot machines of GKE, of AKS, and of EKS with Karpenter are kept for pods that bear being sent away.
SPOT = [
    {"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"},
    {"key": "kubernetes.azure.com/scalesetpriority", "operator": "Equal", "value": "spot", "effect": "NoSchedule"},
    {"key": "karpenter.sh/capacity-type", "operator": "Equal", "value": "spot", "effect": "NoSchedule"},
]
NOTICE = 120  # seconds that a pod has to leave in, of which `leave-node` takes 110


def ray_job_spec(name: str, file: str, settings: JobFile, target: Target) -> Manifest:
    """Args:
    name: of the ConfigMap with the job file.
    file: its name there.
    """
    assert settings.schedule is not None
    # Any other exit status than 0 is another try, with another cluster.
    entry = f"imagegen job run {MOUNT}/{file} --fail-only-to-retry"
    submitter = {"restartPolicy": "Never", **pod("ray-job-submitter", target.image, "1", "1Gi")}
    return {
        "entrypoint": f"{entry} --date {CREATED}" if target.cron_job else entry,
        "entrypointNumCpus": 0,
        "submissionMode": "K8sJobMode",
        "submitterPodTemplate": {"metadata": {"labels": SUBMITTER}, "spec": submitter},
        # Each retry has a new cluster and goes on where the last one stopped.
        "backoffLimit": settings.schedule.retries,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 300,
        "rayClusterSpec": cluster(name, settings, target),
    }


def cluster(name: str, settings: JobFile, target: Target) -> Manifest:
    """A head that runs no worker, and a node for each worker that the file asks for."""
    head = pod("ray-head", target.image, "2", "4Gi")
    head["containers"][0]["volumeMounts"] = [{"name": "job", "mountPath": MOUNT, "readOnly": True}]
    head["volumes"] = [{"name": "job", "configMap": {"name": name}}]
    worker = pod("ray-worker", target.image, f"{settings.cpus_per_worker + 1:.0f}", "16Gi")
    worker["terminationGracePeriodSeconds"] = NOTICE
    worker["tolerations"] = list(SPOT)
    leave = {"exec": {"command": ["leave-node", str(NOTICE - 10)]}}
    worker["containers"][0]["lifecycle"] = {"preStop": leave}
    if gpus := settings.gpus_per_worker or 0.0:
        worker["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = str(max(1, round(gpus)))
        worker["tolerations"].append({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"})
    if target.priority_class is not None:
        head["priorityClassName"] = worker["priorityClassName"] = target.priority_class
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
                "template": {"spec": worker},
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
