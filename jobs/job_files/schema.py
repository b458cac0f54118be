"""The published JSON schema of job files: `python -m jobs.job_files.schema > jobs/specs/job.schema.json`."""

from __future__ import annotations

import json
from typing import Any

from .settings import JobFile


def job_schema() -> dict[str, Any]:
    schema = JobFile.model_json_schema()
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "imagegen job file"}
    return {**schema, **about}


if __name__ == "__main__":
    print(json.dumps(job_schema(), indent=2, ensure_ascii=False))
