"""What Ray does beside the work when nobody asks, turned down: on two cores every hundredth of one counts.

Its processes read these from the environment that they are started in. Only for a Ray that this program starts for
itself; what a cluster's Ray does is its owner's choice.
"""

from __future__ import annotations

import os

LEAN = {
    "RAY_enable_metrics_collection": "0",  # read by Ray's dashboard alone
    "RAY_task_events_report_interval_ms": "0",  # likewise
    "RAY_raylet_report_resources_period_milliseconds": "1000",  # 100 by default
    "LOG_NAME_UPDATE_INTERVAL_S": "10",  # of looking for new log files to forward, which nobody reads; 0.5 by default
}


def lean() -> None:
    """What the user has set stays."""
    for name, value in LEAN.items():
        os.environ.setdefault(name, value)
