"""`imagegen job run`: told by webhook, stopped and gone on with, over budget, a storyboard with its contact sheet."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pypdfium2
import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.exit_codes import exit_code_of
from jobs.job_files.settings import Notification
from jobs.notification import Notifier, signature
from tests.inline import without_ray

from .webhook import receiving

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-P", "-c", "from jobs.cli import main; main()"]
SECRET = "one that only the environment knows"


def write_job(folder: Path, **settings: object) -> Path:
    path = folder / "job.yaml"
    text = {"output": str(folder / "out"), "model": "flat-colour", "workers": 1, **settings}
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in text.items()))
    return path


def start(*arguments: str, at: Path = ROOT, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "job", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=at,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def notification(url: str) -> dict[str, object]:
    return {"url": url.replace("127.0.0.1", "${HOST}"), "secret_env": "HOOK_SECRET"}


def test_a_run_that_is_told_to_stop_finishes_its_shards_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("".join(f"a picture of {n}\n" for n in range(600)))
    environment = {"HOST": "127.0.0.1", "HOOK_SECRET": SECRET}
    with receiving(503, 429) as receiver:
        told = notification(receiver.url)
        path = write_job(tmp_path, prompts=str(tmp_path / "prompts.txt"), shard_rows=4, notification=told)
        with start("run", str(path), "--run-id", "night-1", **environment) as run:
            deadline = time.monotonic() + 120
            while not list(tmp_path.glob("out/manifest/*.parquet")) and time.monotonic() < deadline:
                time.sleep(0.05)
            run.send_signal(signal.SIGTERM)
            _, errors = run.communicate(timeout=120)
        assert run.returncode == 130 and "stopped as asked" in errors, errors
        done = len(list(tmp_path.glob("out/manifest/*.parquet")))
        assert 0 < done < 150
        assert not list(tmp_path.glob("out/.run/attempts/*")), "a shard was left half made"
        first, second = receiver.messages
        assert first["type"] == "imagegen.start" and second["type"] == "imagegen.end"
        assert second["data"]["state"] == "stopped" and second["data"]["exit_code"] == 130
        assert second["data"]["run_id"] == "night-1" and second["data"]["progress"]["shards_done"] == done
        # The server was busy twice: the same message came three times, by its id.
        assert receiver.tries[0] == receiver.tries[1] == receiver.tries[2] != receiver.tries[3]
        assert receiver.verified(SECRET) and not receiver.verified("another")
        assert SECRET not in "".join(path.read_text("utf-8", "ignore") for path in tmp_path.glob("out/.run/*.*"))


def test_a_failure_budget_is_told_of_as_soon_as_it_is_exceeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_ray(monkeypatch)
    (tmp_path / "prompts.jsonl").write_text('{"prompt": ""}\n' * 20)
    with receiving() as receiver:
        path = write_job(
            tmp_path, prompts=str(tmp_path / "prompts.jsonl"), max_failures=3, notification={"url": receiver.url}
        )
        run = CliRunner().invoke(app, ["job", "run", str(path)])
        assert run.exception is not None and exit_code_of(run.exception) == 4  # type: ignore[arg-type]
        assert [message["type"] for message in receiver.messages] == [
            "imagegen.start",
            "imagegen.failure_budget",
            "imagegen.end",
        ]
        assert "empty_prompt" in receiver.messages[1]["data"]["error"]
        assert receiver.messages[2]["data"]["state"] == "failure_budget_exceeded"
        assert {given for _, _, given in receiver.signatures} == {None}


@pytest.mark.parametrize("answers", [[400], [500] * 6])
def test_what_cannot_be_delivered_is_said_without_the_url_and_harms_nothing(
    answers: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    with receiving(*answers) as receiver:
        told = Notification(url=f"{receiver.url}?token=hush", events=["end"])
        with Notifier(told, {"job": "x"}, first_wait=0.001) as notifier:
            notifier.tell("start")
            notifier.tell("end", state="succeeded")
        assert len(receiver.tries) == len(answers) and not receiver.messages
    assert f"was not notified (status {answers[0]})" in (said := capsys.readouterr().err) and "hush" not in said


def test_the_signature_is_that_of_the_specifications_own_example() -> None:
    """From the reference libraries of Standard Webhooks."""
    secret, identifier, timestamp = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
    assert signature(secret, identifier, timestamp, b'{"test": 2432232314}') == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_a_storyboard_becomes_numbered_pictures_and_a_pdf_beside_packages_of_our_names(tmp_path: Path) -> None:
    story = [
        "A red circle\n  over the sea.",
        "<b>Not bold</b> & \u4e00\u53ea\u7ea2\u8272\u7684\u5706",
        "x" * 11_000,
        "The end.",
    ]
    (tmp_path / "story.txt").write_text("\n\n \n".join(story) + "\n\n")
    for name in ("imagen_model", "pipelines", "jobs"):  # this folder's own, which Ray would have its workers import
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('this is not the project')\n")
    with receiving() as receiver:
        path = write_job(
            tmp_path,
            prompts=str(tmp_path / "story.txt"),
            input_format="paragraphs",
            output=str(tmp_path / "{date}" / "{run_id}"),
            contact_sheet={"title": "A <story>", "columns": 1, "rows": 2},
            notification={"url": receiver.url, "events": ["end"]},
        )
        with start("run", str(path), "--run-id", "first", "--date", "2026-11-25", at=tmp_path) as run:
            _, errors = run.communicate(timeout=120)
    assert run.returncode == 3, errors  # the third scene is too long
    (message,) = receiver.messages
    assert (message["data"]["state"], message["data"]["date"]) == ("failed_rows", "2026-11-25")
    assert (message["data"]["summary"]["succeeded"], message["data"]["summary"]["failed"]) == (3, 1)
    output = tmp_path / "2026-11-25" / "first"
    assert sorted(path.name for path in output.glob("images/*/*.png")) == [
        f"00000000{number}-0.png" for number in (0, 1, 3)
    ]
    sheet = pypdfium2.PdfDocument(output / "contact-sheet.pdf")
    first, second = (page.get_textpage().get_text_range() for page in sheet)
    assert "A <story>" in first and "1 A red circle over the sea." in first
    assert "2 <b>Not bold</b> & \u4e00\u53ea\u7ea2\u8272\u7684\u5706" in first
    assert "3 failed: prompt_too_long" in second and "4 The end." in second
    before = (output / "contact-sheet.pdf").read_bytes()
    with start("run", str(path), "--run-id", "first", "--date", "2026-11-25") as run:
        run.communicate(timeout=120)
    assert (output / "contact-sheet.pdf").read_bytes() == before
    verify = subprocess.run([*COMMAND, "verify", str(output)], capture_output=True, text=True)
    assert verify.returncode == 0, verify.stdout
