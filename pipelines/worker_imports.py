"""Where Ray's workers find our modules: where this process found them, and nowhere before that."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray.job_config import JobConfig

INSTALLED = {"site-packages", "dist-packages"}


@contextmanager
def import_path() -> Iterator[None]:
    """Workers on this machine find the modules that this process finds, installed or not."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def own_code(cluster: str | None) -> JobConfig:
    """For `ray.init`: keeps Ray from putting the folder in which this process was started before all else on its
    workers' search path, where a package called `pipelines` or `jobs` would be imported for ours. It does so for every
    job but that of a client.

    Workers of a cluster do not get this process's search path. There, code that is not installed is found where it
    lies here, if the nodes have that folder too.
    """
    from ray.job_config import JobConfig

    here = Path(__file__).parents[1]
    shared = cluster is not None and here.name not in INSTALLED
    return JobConfig(_client_job=True, _py_driver_sys_path=[str(here)] if shared else None)
