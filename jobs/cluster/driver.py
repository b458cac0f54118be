"""What the cluster runs: python -m jobs.cluster.driver run|stop NAME RUN_ID DATE, in the folder that travelled.

`run` is `imagegen job run` with the code that was submitted and no other; `stop` asks a run to finish its shards, from
where its output can be written.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from pipelines.errors import InvalidJob
from pipelines.stopping import request_stop
from pipelines.storage import open_store

from ..console import say
from ..exit_codes import ExitCode, exit_code_of, leave
from ..job_files.reading import LoadedJob, load_job
from ..job_files.runs import new_context
from ..run import run_command
from .packing import JOB, TRAVELLING, code_hash, differences, installed

ANY_VERSIONS = "IMAGEGEN_ANY_VERSIONS"
PATIENCE = 60.0  # seconds in which a run must be seen that is to be stopped


def main() -> None:
    verb, name, run_id, date = sys.argv[1:]
    try:
        job = load_job(Path(JOB), {"name": name})
        if verb == "stop":
            code = stop(job, run_id, date)
        else:
            check_travelled()
            os.environ.update(own_cluster())
            code = run_command(job, new_context(job, os.environ, date, run_id), dry_run=False, as_json=False)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except Exception as error:
        code = exit_code_of(error)
    leave(code)


def check_travelled() -> None:
    """Raises:
    InvalidJob: this is other code, or it stands on other versions, than where the job was submitted.
    """
    travelling = json.loads(Path(TRAVELLING).read_text())
    found = code_hash()
    say(f"imagegen: code {found} from {Path(__file__).parents[2]}")
    if found != travelling["code"]:
        raise InvalidJob(f"the cluster imports imagegen with code {found}, submitted was {travelling['code']}; "
                         "take the other imagegen out of its PYTHONPATH")  # fmt: skip
    wrong = differences(travelling, installed())
    if wrong and not os.environ.get(ANY_VERSIONS):
        raise InvalidJob(
            f"the cluster has other versions than those that this job comes from ({'; '.join(wrong)}), so its pictures "
            "may differ; submit with --install to bring yours, or with --any-versions to take the cluster's"
        )


def own_cluster() -> dict[str, str]:
    """The address of the cluster that runs this job, as the environment variable that Ray reads; empty where it cannot
    be told. Ray sets the variable to that of any cluster of this machine, if there are several. But its process above
    this one knows its raylet, and that was started with the address.
    """
    try:
        above = arguments_of(f"/proc/{os.getppid()}/environ")
        raylet = next(text for text in above if text.startswith("RAY_RAYLET_PID=")).partition("=")[2]
        (address,) = (text for text in arguments_of(f"/proc/{raylet}/cmdline") if text.startswith("--gcs-address="))
    except (OSError, StopIteration, ValueError):
        return {}
    return {"RAY_ADDRESS": address.partition("=")[2]}


def arguments_of(file: str) -> list[str]:
    return Path(file).read_text(errors="replace").split("\0")


def stop(job: LoadedJob, run_id: str, date: str) -> int:
    settings = job.resolved(new_context(job, os.environ, date, run_id))
    if request_stop(open_store(settings.output), threading.Event(), PATIENCE):
        say(f"imagegen: {run_id} finished its shards and stopped")
        return ExitCode.SUCCESS
    say(f"imagegen: nobody was at work on {settings.output}")
    return ExitCode.ERROR


if __name__ == "__main__":
    main()
