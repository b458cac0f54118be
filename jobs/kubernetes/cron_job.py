"""A CronJob whose pod creates a RayJob and stays until it is over, so that `Forbid` keeps the next one off."""

from __future__ import annotations

from ..job_files.settings import Schedule
from .limits import when
from .ray_job import CREATED
from .resources import MOUNT, POD_SECURITY, SECURITY, Manifest, Named, dumped

KUBECTL = "alpine/kubectl:1.34.1"
# A RayJob that is over is there for five minutes more. A server that does not answer once is asked again.
CREATE = f"""set -e
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
job=$(sed "s/{CREATED}/$now/" {MOUNT}/rayjob.yaml | kubectl create -f - -o name)
while true; do
  state=$(kubectl get "$job" --ignore-not-found -o jsonpath='{{.kind}}/{{.status.jobDeploymentStatus}}') || state=asked
  case "$state" in
    '' | */Complete) exit 0 ;;
    */Failed | */ValidationFailed) kubectl get "$job" -o jsonpath='{{.status.message}}'; exit 1 ;;
  esac
  sleep 20
done
"""


def creating(named: Named, queue: str | None, schedule: Schedule, ray_job: Manifest) -> list[Manifest]:
    """Args:
    queue: Kueue's, for each RayJob.
    ray_job: spec of one.
    """
    ray = named.resource("ray.io/v1", "RayJob", spec=ray_job)
    queued = {} if queue is None else {"kueue.x-k8s.io/queue-name": queue}
    ray["metadata"] = {"generateName": f"{named.name}-", "labels": {**named.labels, **queued}}
    account = f"{named.name}-creator"
    rules = [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "get", "list", "watch"]}]
    return [
        named.resource("v1", "ConfigMap", "-rayjob", data={"rayjob.yaml": dumped([ray])}),
        named.resource("v1", "ServiceAccount", "-creator"),
        named.resource("rbac.authorization.k8s.io/v1", "Role", "-creator", rules=rules),
        named.resource(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            "-creator",
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
            subjects=[{"kind": "ServiceAccount", "name": account, "namespace": named.namespace}],
        ),
        named.resource("batch/v1", "CronJob", spec=cron_job_spec(named.name, account, schedule)),
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
