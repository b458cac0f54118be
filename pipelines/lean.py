"""What Ray does beside the work when nobody asks, turned down: on two cores every hundredth of one counts. And what
makes its processes faster.

They read these from the environment that they are started in. Only for a Ray that this program starts for itself; what
a cluster's Ray does is its owner's choice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LEAN = {
    "RAY_enable_metrics_collection": "0",  # read by Ray's dashboard alone
    "RAY_task_events_report_interval_ms": "0",  # likewise
    "RAY_raylet_report_resources_period_milliseconds": "1000",  # 100 by default
    "LOG_NAME_UPDATE_INTERVAL_S": "10",  # of looking for new log files to forward, which nobody reads; 0.5 by default
    # Large pages for what is allocated: a model on a CPU runs through its memory with fewer misses of the address
    # cache. glibc 2.35 and later know it, others read past it; the system's own setting still decides.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


@contextmanager
def lean(**more: str) -> Iterator[None]:
    """For a Ray that is started meanwhile, and nothing that this program starts later. What the user has set stays.

    Args:
        more: variables of the environment that this Ray shall be started with too.
    """
    added = {name: value for name, value in {**LEAN, **more}.items() if name not in os.environ}
    os.environ.update(added)
    try:
        with born_patient():
            yield
        end_unused()
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def born_patient() -> Iterator[None]:
    """Processes that this thread starts meanwhile do not interrupt who has a core when they wake up, but take their
    turn a few milliseconds later: Ray's wake up a hundred times a second each, and a model loses more by the
    interruption than they need. sched(7) calls it SCHED_BATCH; where there is none nothing changes."""
    if not hasattr(os, "SCHED_BATCH") or os.sched_getscheduler(0) != os.SCHED_OTHER:  # somebody has chosen already
        yield
        return
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def end_unused() -> None:
    """Ray's nodes start these whether anybody uses them or not: three interpreters, 170 MB, a hundredth of a core."""
    from ray._private import worker

    for end in ("kill_log_monitor", "kill_monitor", "kill_dashboard"):
        with suppress(Exception):  # another Ray may have other ones; they do no harm but cost
            getattr(worker._global_node, end)(check_alive=False)
