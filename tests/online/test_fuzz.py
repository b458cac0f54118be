"""Requests made from /openapi.json, those that fit it and those that do not, against a real server.

`IMAGEGEN_FUZZ_CASES=2000` makes so many of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import schemathesis

from .conftest import KEY, Server
from .test_refusals import ask, check_form

CASES = int(os.environ.get("IMAGEGEN_FUZZ_CASES", "200"))
# A request that fits can still be refused for what was sent before it.
SETTINGS = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 401, 404, 409, 422, 429]

[[operations]]
include-name = ["GET /v1/files", "GET /v1/batches"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400]  # `after` names what is not there

[[operations]]
include-name = "POST /v1/images/edits"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 409, 422, 429]  # any bytes fit, few are a picture
"""


def test_no_5xx_and_no_answer_outside_the_description(wide_server: Server, tmp_path: Path) -> None:
    paths = ask(wide_server, "GET", "/openapi.json")[2]["paths"]
    operations = [operation for methods in paths.values() for operation in methods.values()]
    # The others have one request each.
    varied = [operation for operation in operations if {"parameters", "requestBody"} & set(operation)]
    assert "/v1/images/edits" in paths
    found = run_schemathesis(wide_server, tmp_path, -(-CASES // len(varied)))
    assert found["operations"]["tested"] == len(operations)
    assert found["test_cases"]["generated"] >= CASES


def run_schemathesis(server: Server, folder: Path, cases: int) -> dict[str, Any]:
    """Its report; `cases` random ones for each operation, beside those at the limits of every value."""
    (folder / "schemathesis.toml").write_text(SETTINGS)
    report = folder / "report.json"
    options = [f"--max-examples={cases}", "--checks=all", "--continue-on-failure", "--seed=4", "--no-color"]
    options += ["--header", f"Authorization: Bearer {KEY}"]
    options += ["--generation-database=none", "--report=json", f"--report-json-path={report}"]
    process = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.returncode == 0, process.stdout
    return json.loads(report.read_text())  # type: ignore[no-any-return]


def test_successes_that_take_a_name_are_as_described(wide_server: Server) -> None:
    """Names that no fuzzer guesses."""
    description = schemathesis.openapi.from_url(f"{wide_server.url}/openapi.json")
    made = wide_server.client().images.generate(prompt="a", response_format="url", output_format="webp")
    assert made.data is not None and made.data[0].url is not None
    picture = made.data[0].url.rsplit("/", 1)[1]
    for path, name in [("/v1/models/{name}", "obedient"), ("/v1/images/files/{name}", picture)]:
        case = description[path]["GET"].Case(path_parameters={"name": name})
        answer = case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"})
        assert answer.status_code == 200


def test_what_the_description_says_of_keys_and_errors_is_so(wide_server: Server) -> None:
    status, headers, body = ask(wide_server, "GET", "/v1/models", headers={"authorization": "Bearer none"})
    assert check_form(status, headers, body) == "invalid_api_key"
    described = ask(wide_server, "GET", "/openapi.json")[2]
    for path, methods in described["paths"].items():
        for operation in methods.values():
            asks = path.startswith("/v1/") and not path.startswith("/v1/images/files/")
            assert ("security" in operation) == asks, path
            assert "500" in operation["responses"] and "HTTPValidationError" not in str(operation)
