"""One batch job in a process of its own, for faults to strike: python -m tests.faults.drive '{"prompts": ...}'."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))

from generators import TestSource

from pipelines.batch import run_batch
from pipelines.errors import PipelineError
from pipelines.job import BatchJob, Pool


def main() -> int:
    asked = json.loads(sys.argv[1])
    source = TestSource(sleep=asked.pop("sleep"), pids=asked.pop("pids"))
    pool = Pool(workers=asked.pop("workers", 2), batch_size=4, ray_address=asked.pop("ray_address", None))
    try:
        summary = run_batch(BatchJob(**asked, model="flat-colour", pool=pool), source=source)
    except KeyboardInterrupt:
        return 130
    except PipelineError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(dataclasses.asdict(summary)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
