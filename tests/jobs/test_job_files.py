"""Job files: every mistake at once with its line, references, limits, the published schema, and the ones we ship."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from imagen_model.generation import GenerationRequest, InvalidRequest
from imagen_model.open_models.options import ModelOptions
from jobs.job_command import check_files
from jobs.job_files.reading import InvalidJobFile, load_job
from jobs.job_files.references import BadReference, RunContext
from jobs.job_files.runs import check_here, new_context
from jobs.job_files.schema import job_schema
from jobs.job_files.settings import OUTSIDE, JobFile
from pipelines.encoding import EXTENSIONS
from pipelines.errors import InvalidJob
from pipelines.formats import OUTPUT_FORMATS
from pipelines.job import BatchJob, Pool, parse_size
from pipelines.table_files import NAMED

SPECS = Path("jobs/specs")
SCHEMA = SPECS / "job.schema.json"


def write(folder: Path, text: str) -> Path:
    path = folder / "job.yaml"
    path.write_text(text)
    return path


def mistakes_of(path: Path) -> dict[int | None, str]:
    with pytest.raises(InvalidJobFile) as caught:
        load_job(path)
    return {mistake.line: mistake.message for mistake in caught.value.mistakes}


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """\
prompts: prompts.parquet
seed: -3
seeed: 4
size: 1x
size: 64x64
quality: 3
max_failures: 2000%
post_processing: blur
model: "{dat}"
schedule:
  cron: 61 2 * * *
  time_zone: Europe/Berln
notification:
  events:
    - start
    - stop
  secret_env: a b
""",
    )
    found = mistakes_of(path)
    expected = {
        None: "output is missing",
        2: "seed: it must be greater than or equal to 0, got -3",
        3: "seeed is no setting; is seed meant?",
        5: "size is given twice, first in line 4",
        6: "png has no quality",
        7: "2000%",
        8: "there is no step 'blur'",
        9: "{dat} is no reference",
        11: "61",
        12: "Europe/Berln",
        13: "notification.url is missing",
        16: "'start', 'end' or 'failure_budget', got 'stop'",
        17: "secret_env",
    }
    assert found.keys() == expected.keys()
    for line, words in expected.items():
        assert words in found[line]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("prompts: a\noutput: [b\n", 3, "expected"),
        ("schedule:\n  cron: */5 * * * *\n", 2, "in quotes"),
        ("- prompts\n", 1, "settings like"),
        ("prompts: a\noutput: b\nwidth: 64\nsize: 64x64\n", 4, "both given"),
        ("prompts: a\noutput: b\nschedule: {time_zone: UTC}\n", 3, "both missing"),
        ("prompts: a\noutput: b\nschedule: {every: 1 min, cron: '0 0 * * *'}\n", 3, "both given"),
        ("prompts: a\noutput: b\nc2pa_key: k.pem\n", 3, "c2pa_key is given without c2pa_certificate"),
        ("prompts: a\noutput: b\nmodel: ${NO\n", 3, "no reference"),
        ("prompts: 5\noutput: b\n", 1, "prompts: it must be a valid string, got 5"),
    ],
)
def test_a_mistake_has_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    assert words in mistakes_of(write(tmp_path, text))[line]


def test_what_is_not_here_is_told_at_once_too(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "prompts: nowhere/*.parquet\noutput: out\nsize: 100x100\ntop_k: 5\nmodel: flat-colour\n"
        "notification: {url: 'ftp://x', secret_env: NOT_SET_HERE}\nc2pa_certificate: no.pem\nc2pa_key: no.key\n",
    )
    job = load_job(path)
    with pytest.raises(InvalidJobFile) as caught:
        check_here(job, job.resolved(new_context(job, {})))
    found = [(mistake.line, mistake.message) for mistake in caught.value.mistakes]
    for line, words in (
        (1, "nowhere"),
        (3, "100x100"),
        (4, "top_k"),
        (6, "https://"),
        (6, "NOT_SET_HERE"),
        (7, "cannot read no.pem"),
    ):
        assert any(line == at and words in message for at, message in found), found
    assert len(found) == 6


def test_check_tells_what_is_wrong_and_what_is_not_here_in_one_round(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(
        tmp_path,
        "prompts: nowhere.csv\noutput: ${NOT_SET_HERE}\nsize: 64\nmodel: imagen-smal\ndevice: gpu\n"
        "image_format: jpg\nnotification: {url: 'ftp://x'}\nseeed: 3\n",
    )
    right = tmp_path / "right.yaml"
    (tmp_path / "prompts.csv").write_text("prompt\na\n")
    right.write_text(f"prompts: {tmp_path}/prompts.csv\noutput: out\nmodel: flat-colour\n")
    assert check_files([path, tmp_path / "absent.yaml", right]) == 2
    said = capsys.readouterr()
    for words in (
        "line 1: prompts: no file matches 'nowhere.csv'",
        "line 2: output: the environment variable NOT_SET_HERE is not set",
        "line 3: size: must be WIDTHxHEIGHT in pixels, such as 64x64, got '64'; did you mean 64x64?",
        "did you mean imagen-small?",
        "line 5: device: must be auto, cpu, cuda or cuda:NUMBER such as cuda:1, got 'gpu'; did you mean cuda?",
        "got 'jpg'; did you mean jpeg?",
        "line 7: notification.url: it must begin with https",
        "line 8: seeed is no setting; is seed meant?",
        "cannot read the job file",
    ):
        assert words in said.err
    assert said.out == f"{right}: right\n"


@pytest.mark.parametrize(
    ("device", "near"),
    [("gpu", "cuda"), ("GPU:1", "cuda:1"), ("0", "cuda:0"), ("cuda1", "cuda:1"), ("CPU", "cpu"), ("mps", "")],
)
def test_a_device_that_is_none(device: str, near: str) -> None:
    with pytest.raises(InvalidJob, match=f"got '{device}'" + (f"; did you mean {near}\\?$" if near else "$")):
        Pool(device=device)


@pytest.mark.parametrize(("size", "near"), [("64", "64x64"), ("64 x 32", "64x32"), ("64*32", "64x32"), ("big", "")])
def test_a_size_that_is_none(size: str, near: str) -> None:
    with pytest.raises(InvalidJob) as caught:
        parse_size(size)
    assert str(caught.value).endswith(f"; did you mean {near}?" if near else f"got {size!r}")


def test_references() -> None:
    context = RunContext("2026-11-25", "nightly-1", {"BUCKET": "b${HOME}", "EMPTY": ""})
    assert context.resolve("s3://${BUCKET}/{date}/{run_id}${EMPTY}") == "s3://b${HOME}/2026-11-25/nightly-1"
    assert context.resolve("{{date}} $5 $$ $${{X}}") == "{date} $5 $ ${X}"
    for text, words in (
        ("${NOT_SET}", "variable NOT_SET is not set"),
        ("{time}", "{time} is no reference"),
        ("{", "is no reference"),
        ("a}", "is no reference"),
        ("${1}", "names no environment variable"),
    ):
        with pytest.raises(BadReference, match=words.replace("{", "\\{")):
            context.resolve(text)


def test_references_are_put_in_from_the_file_and_not_from_flags(tmp_path: Path) -> None:
    path = write(tmp_path, "prompts: '{date}/${IN}'\noutput: out/{run_id}\nnegative_prompt: '{a}'\n")
    job = load_job(path, {"log_file": "{as it is}"})
    settings = job.resolved(new_context(job, {"IN": "x"}, "2026-03-01", "mine"))
    assert (settings.prompts, settings.output) == ("2026-03-01/x", "out/mine")
    assert (settings.negative_prompt, settings.log_file) == ("{a}", "{as it is}")
    with pytest.raises(InvalidJobFile, match="line 1: prompts: the environment variable IN is not set"):
        job.resolved(new_context(job, {}))
    for wrong in ({"date": "today"}, {"run_id": "../x"}):
        with pytest.raises(InvalidJob, match=str(next(iter(wrong.values())))):
            new_context(job, {}, **wrong)


KINDS = (BatchJob, Pool, ModelOptions)


def test_the_file_has_exactly_a_jobs_settings_with_their_defaults() -> None:
    fields = {field.name: field for kind in KINDS for field in dataclasses.fields(kind)}
    del fields["pool"], fields["options"]
    assert set(JobFile.model_fields) == {*fields, *OUTSIDE}
    for name, field in fields.items():
        if field.default is not dataclasses.MISSING:
            assert JobFile.model_fields[name].default == field.default, name


def ends(name: str) -> tuple[Any, Any]:
    """Smallest and largest value by the schema."""
    whole = job_schema()["properties"][name]
    schema = next(iter(whole["anyOf"])) if "anyOf" in whole else whole
    return schema.get("minimum"), schema.get("maximum")


@pytest.mark.parametrize(
    "name", ["width", "height", "guidance_scale", "num_inference_steps", "temperature", "top_k", "best_of", "seed"]
)
def test_the_limits_are_the_requests_own(name: str) -> None:
    low, high = ends(name)
    for inside in (low, high):
        GenerationRequest(**{"prompt": "x", "seed": 0, name: inside})
    for outside in (low - 1, high + 1):
        with pytest.raises(InvalidRequest):
            GenerationRequest(**{"prompt": "x", "seed": 0, name: outside})


@pytest.mark.parametrize(
    ("name", "known"),
    [("image_format", set(EXTENSIONS)), ("output_format", set(OUTPUT_FORMATS)), ("input_format", NAMED)],
)
def test_the_choices_are_the_pipelines_own(name: str, known: set[str]) -> None:
    whole = job_schema()["properties"][name]
    schema = next(iter(whole["anyOf"])) if "anyOf" in whole else whole
    assert set(schema["enum"]) == known


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA.read_text()) == json.loads(json.dumps(job_schema())), (
        "write it anew: python -m jobs.job_files.schema > jobs/specs/job.schema.json"
    )


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_files_fit_the_schema_and_name_it_for_editors(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = path.read_text()
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA.name}\n")
    validator = jsonschema.Draft202012Validator(job_schema())
    assert not list(validator.iter_errors(yaml.safe_load(text)))
    assert list(validator.iter_errors({**yaml.safe_load(text), "schedule": {"cron": "x", "every": "y"}}))
    job = load_job(path)
    job.resolved(new_context(job, {"BUCKET": "bucket", "HOOK": "hook"})).batch_job()
