"""From job files to the resources that run them when they are due.

The job file travels in a ConfigMap; credentials and what its `${NAME}` stand for come from secrets.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import InvalidJob

from ..exit_codes import ExitCode
from ..job_files.reading import LoadedJob, load_job
from .cron_job import creating
from .limits import PREFIX, check_fits, when
from .ray_job import ray_job_spec
from .resources import Manifest, Named, Target, dumped


def print_kubernetes(files: Sequence[Path], target: Target) -> int:
    """Raises:
    InvalidJob: the schedule or a path cannot be had there.
    """
    manifests = [manifest for file in files for manifest in manifests_of(load_job(file), target)]
    print(dumped(manifests), end="")
    return ExitCode.SUCCESS


def manifests_of(job: LoadedJob, target: Target) -> list[Manifest]:
    settings = job.settings
    if settings.schedule is None:
        raise InvalidJob(f"{job.source} has no schedule; add one like `schedule: {{cron: '30 2 * * *'}}`")
    check_fits(job, settings.schedule, target)
    named = Named(f"{PREFIX}{job.name}", target.namespace)
    file = f"{job.name}.yaml"  # from which the run has its name too
    config = named.resource("v1", "ConfigMap", data={file: job.text})
    ray_job = ray_job_spec(named.name, file, settings, target)
    if target.cron_job:
        return [config, *creating(named, target.queue, settings.schedule, ray_job)]
    spec = {**when(settings.schedule), "jobTemplate": ray_job}
    return [config, named.resource("ray.io/v1", "RayCronJob", spec=spec)]
