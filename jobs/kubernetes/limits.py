"""What of a job file Kubernetes and KubeRay 1.7 cannot do; only what is refused is not silently done otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.errors import InvalidJob

from ..job_files.reading import LoadedJob
from ..job_files.references import REFERENCED, names_in
from ..job_files.runs import unreachable
from ..job_files.settings import Schedule
from ..job_files.times import days_by_name, parse_interval
from .resources import Manifest, Target

PREFIX = "imagegen-"
RAY_CRON_JOB_NAME = 36  # characters of a RayCronJob's, to which KubeRay adds 11 for each RayJob
RAY_JOB_NAME = 47
GENERATED = 6  # that `generateName` adds; it leaves less than the 52 that a CronJob's may have


def check_fits(job: LoadedJob, schedule: Schedule, target: Target) -> None:
    """Raises:
    InvalidJob: with everything that cannot be had there, and the way out.
    """
    wrong = [*wrong_schedule(schedule), *(f"{name}: {message}" for name, message in unreachable(job.settings))]
    longest = (RAY_JOB_NAME - GENERATED if target.cron_job else RAY_CRON_JOB_NAME) - len(PREFIX)
    if len(job.name) > longest:
        wrong.append(
            f"name: {job.name} has {len(job.name)} characters, KubeRay takes {longest} here; give a shorter `name`"
        )
    if not target.cron_job:
        wrong += wrong_for_ray_cron_job(job, schedule, target)
    if wrong:
        raise InvalidJob(
            f"{job.source} cannot run on Kubernetes as it is:\n" + "\n".join(f"  {line}" for line in wrong)
        )


def wrong_schedule(schedule: Schedule) -> Iterator[str]:
    if schedule.overlap == "queue":
        yield "schedule.overlap: Kubernetes cannot queue runs; give overlap: skip"
    if "retry_seconds" in schedule.model_fields_set:
        yield "schedule.retry_seconds: KubeRay tries again at once; leave it out"
    if schedule.cron is not None:
        _, _, day, _, week_day = schedule.cron.split()
        # Where one begins with *, both must fit here; there, */2 is no * and one of the two is enough.
        if "*" not in (day, week_day) and (day.startswith("*") or week_day.startswith("*")):
            yield (
                f"schedule.cron: {schedule.cron!r} is on days that fit both {day} and {week_day}, but for Kubernetes "
                "on those that fit either; give one of the two as *"
            )


def wrong_for_ray_cron_job(job: LoadedJob, schedule: Schedule, target: Target) -> Iterator[str]:
    """It makes a RayJob for each time, also for every one that KubeRay missed, and tells it nothing of it."""
    if "missed" in schedule.model_fields_set:
        yield "schedule.missed: a RayCronJob runs every time that was missed; leave it out, or take --cron-job"
    values = job.settings.model_dump()
    for place in REFERENCED:
        section = values if len(place) == 1 else values[place[0]] or {}
        for name in sorted(names_in(section.get(place[-1]) or "")):
            yield (
                f"{'.'.join(place)}: {{{name}}} is another for each try of a RayCronJob's run; take --cron-job, or "
                "leave it out (extend: true goes on in one output)"
            )
    if target.queue is not None:
        yield f"--queue {target.queue}: a RayCronJob's RayJobs have no labels of yours; take --cron-job"


def when(schedule: Schedule) -> Manifest:
    """Kubernetes leaves out a time that spring skips, and may run one twice that autumn shows twice. Its days of the
    week are 0 to 6 without a wrap, so they go there by name."""
    if schedule.cron is not None:
        *others, week_day = schedule.cron.lower().split()
        return {"schedule": " ".join([*others, days_by_name(week_day)]), "timeZone": schedule.time_zone}
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
