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
def lean() -> Iterator[None]:
    """For a Ray that is started meanwhile, and nothing that this program starts later. What the user has set stays."""
    added = {name: value for name, value in LEAN.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
        end_unused()
    finally:
        for name in added:
            os.environ.pop(name, None)


def end_unused() -> None:
    """Ray's nodes start these whether anybody uses them or not: three interpreters, 170 MB, a hundredth of a core."""
    from ray._private import worker

    for end in ("kill_log_monitor", "kill_monitor", "kill_dashboard"):
        with suppress(Exception):  # another Ray may have other ones; they do no harm but cost
            getattr(worker._global_node, end)(check_alive=False)
