"""What Ray does beside the work when nobody asks, turned down: on two cores every hundredth of one counts. And what
makes its processes faster.

They read these from the environment that they are started in. Only for a Ray that this program starts for itself; what
a cluster's Ray does is its owner's choice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

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
    """For the processes that are started meanwhile, and none that this program starts later. What the user has set
    stays."""
    added = {name: value for name, value in LEAN.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
