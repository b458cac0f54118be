"""What a Ray of our own is started with."""

import os
import subprocess
import sys

import pytest

from pipelines.lean import born_patient

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="the system has no scheduling policies")
ASK = [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"]


def policy_of_a_child() -> int:
    return int(subprocess.check_output(ASK))


def test_processes_started_meanwhile_do_not_interrupt_and_later_ones_do() -> None:
    with born_patient():
        assert policy_of_a_child() == os.SCHED_BATCH
    assert policy_of_a_child() == os.SCHED_OTHER


def test_a_policy_that_somebody_chose_stays() -> None:
    chosen = """
import os
from pipelines.lean import born_patient
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
with born_patient():
    print(os.sched_getscheduler(0))
"""
    assert int(subprocess.check_output([sys.executable, "-c", chosen])) == os.SCHED_IDLE
