"""Files and batches with the official client against real servers: from submit to results, restarts and kills."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest
from openai.types import Batch
from PIL import Image

from imagen_model import Imagen
from imagen_model.flat_colour import FlatColourGenerator
from imagen_model.generation import GenerationRequest, Success
from pipelines.encoding import Encoder
from pipelines.lease import Lease, alive
from pipelines.online.batches.runner import BatchRunner, Surroundings
from pipelines.online.batches.store import BatchStore
from pipelines.online.batches.work import RUNS
from pipelines.online.errors import ApiError
from pipelines.storage import LocalStore

from .conftest import KEY, OTHER_KEY, Server
from .test_refusals import wait_for

URL = "/v1/images/generations"
ENDED = {"completed", "failed", "cancelled", "expired"}


def line(custom_id: str, **body: Any) -> str:
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": URL, "body": body})


def submit(client: openai.OpenAI, lines: list[str], **parameters: Any) -> Batch:
    file = client.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=URL, completion_window="24h", **parameters)


def wait(
    client: openai.OpenAI, batch: str, until: Callable[[Batch], bool] | None = None, seconds: float = 120
) -> Batch:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        found = client.batches.retrieve(batch)
        if until(found) if until else found.status in ENDED:
            return found
        time.sleep(0.2)
    raise AssertionError(f"the batch is still {found}")


def answers(client: openai.OpenAI, file: str | None) -> dict[str, Any]:
    if file is None:
        return {}
    found = [json.loads(text) for text in client.files.content(file).text.splitlines()]
    assert len({each["custom_id"] for each in found}) == len(found)
    return {each["custom_id"]: each for each in found}


def pictures(answer: dict[str, Any]) -> list[bytes]:
    assert answer["response"]["status_code"] == 200 and answer["error"] is None
    return [base64.b64decode(item["b64_json"]) for item in answer["response"]["body"]["data"]]


def flat(prompt: str, seed: int, encoder: Encoder | None = None) -> bytes:
    (result,) = FlatColourGenerator().generate([GenerationRequest(prompt, seed, width=64, height=64)])
    assert isinstance(result, Success)
    return (encoder or Encoder("png")).encode(result.image)


def test_a_batch_gives_the_pictures_of_the_model_itself(imagen_server: Server) -> None:
    client = imagen_server.client()
    lines = [
        line("plain", prompt="a red circle", seed=3),
        line("two", prompt="a blue square", seed=8, n=2, output_format="jpeg", output_compression=70, size="64x64"),
        line("seedless", prompt="a green cross"),
        line("unknown", prompt="a red circle", colour="red"),
        line("too long", prompt="word " * 500),
    ]
    batch = submit(client, lines, metadata={"job": "nightly"})
    assert (batch.status, batch.metadata, batch.model) == ("validating", {"job": "nightly"}, "imagen-small")
    batch = wait(client, batch.id)
    assert batch.status == "completed" and batch.request_counts is not None
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (5, 3, 2)
    assert batch.created_at <= (batch.in_progress_at or 0) <= (batch.finalizing_at or 0) <= (batch.completed_at or 0)

    model = Imagen.from_pretrained("imagen-small")
    good = answers(client, batch.output_file_id)
    assert list(good) == ["plain", "two", "seedless"]
    assert pictures(good["plain"]) == [Encoder("png").encode(model.generate_image("a red circle", seed=3))]
    expected = model.generate_images(["a blue square"] * 2, seeds=[8, 9], width=64, height=64)
    assert pictures(good["two"]) == [Encoder("jpeg", 70).encode(image) for image in expected]
    body = good["two"]["response"]["body"]
    assert (body["size"], body["output_format"], [item["seed"] for item in body["data"]]) == ("64x64", "jpeg", [8, 9])
    seed = good["seedless"]["response"]["body"]["data"][0]["seed"]
    assert pictures(good["seedless"]) == [Encoder("png").encode(model.generate_image("a green cross", seed=seed))]

    bad = answers(client, batch.error_file_id)
    codes = {name: each["response"]["body"]["error"]["code"] for name, each in bad.items()}
    assert codes == {"unknown": "unsupported_parameter", "too long": "prompt_too_long"}
    assert {each["response"]["status_code"] for each in bad.values()} == {400}

    record = client.files.retrieve(batch.output_file_id or "")
    assert (record.purpose, record.bytes) == ("batch_output", len(client.files.content(record.id).content))
    with Image.open(io.BytesIO(pictures(good["two"])[0])) as picture:
        assert picture.format == "JPEG"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("batches") / "kept"


@pytest.fixture(scope="module")
def server(obedient: Callable[..., Server], kept: Path) -> Server:
    return obedient(replicas=1, batch_folder=kept, max_batch_requests=500)


def test_a_file_that_is_no_batch_fails_with_every_line_that_is_wrong(server: Server) -> None:
    client = server.client()
    batch = wait(client, submit(client, [line("a", prompt="x"), "{", line("a", prompt="y")]).id)
    assert batch.status == "failed" and batch.failed_at and batch.errors and batch.errors.data
    assert [(each.line, each.code) for each in batch.errors.data] == [
        (2, "invalid_json_line"),
        (3, "duplicate_custom_id"),
    ]
    assert batch.output_file_id is None


def test_a_failing_request_is_in_the_error_file_and_the_others_in_the_output(server: Server) -> None:
    client = server.client()
    lines = [line(str(number), prompt=f"fine {number}", seed=number, size="64x64") for number in range(40)]
    lines[7] = line("7", prompt="BOOM", seed=7)
    lines[8] = line("8", prompt="fine 8", seed=8, n=2, size="64x64")
    batch = wait(client, submit(client, lines).id)
    good, bad = answers(client, batch.output_file_id), answers(client, batch.error_file_id)
    assert list(good) == [str(number) for number in range(40) if number != 7] and list(bad) == ["7"]
    assert bad["7"]["response"]["status_code"] == 500
    assert bad["7"]["response"]["body"]["error"]["code"] == "generation_failed"
    for number in range(40):
        if number not in (7, 8):
            assert pictures(good[str(number)]) == [flat(f"fine {number}", number)]
    assert pictures(good["8"]) == [flat("fine 8", 8), flat("fine 8", 9)]


def test_each_key_sees_its_own_alone(server: Server) -> None:
    client, other = server.client(KEY), server.client(OTHER_KEY)
    batch = wait(client, submit(client, [line("a", prompt="mine", size="64x64")]).id)
    assert batch.output_file_id
    for attempt in (
        lambda: other.batches.retrieve(batch.id),
        lambda: other.batches.cancel(batch.id),
        lambda: other.files.retrieve(batch.input_file_id),
        lambda: other.files.content(batch.output_file_id or ""),
        lambda: other.files.delete(batch.input_file_id),
        lambda: other.batches.create(input_file_id=batch.input_file_id, endpoint=URL, completion_window="24h"),
    ):
        with pytest.raises(openai.NotFoundError):
            attempt()
    assert batch.id not in {each.id for each in other.batches.list()}
    with pytest.raises(openai.AuthenticationError):
        server.client("wrong-key-0123456789").files.list()


def test_listings_have_pages_and_deleted_files_are_gone(server: Server) -> None:
    client = server.client(OTHER_KEY)
    made = [client.files.create(file=f"{line('a', prompt='x')}\n".encode(), purpose="batch").id for _ in range(5)]
    assert [file.id for file in client.files.list(order="asc", limit=2)] == made  # the client asks for further pages
    page = client.files.list(limit=2)
    assert [file.id for file in page.data] == made[:-3:-1] and page.has_more
    assert client.files.content(made[0]).text == line("a", prompt="x") + "\n"
    assert client.files.delete(made[0]).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.content(made[0])
    batches = [client.batches.create(input_file_id=made[1], endpoint=URL, completion_window="24h").id for _ in range(3)]
    assert [batch.id for batch in client.batches.list(limit=2)] == batches[::-1]
    for batch in batches:
        wait(client, batch)
    with pytest.raises(openai.BadRequestError) as refusal:
        client.batches.cancel(batches[0])
    assert refusal.value.code == "invalid_batch_status"


def test_refusals_name_what_is_wrong(server: Server) -> None:
    client = server.client()
    file = client.files.create(file=b"{}", purpose="batch").id

    def create(**changes: Any) -> Any:
        return client.batches.create(**{"input_file_id": file, "endpoint": URL, "completion_window": "24h", **changes})

    for attempt, param in (
        (lambda: create(endpoint="/v1/chat/completions"), "endpoint"),
        (lambda: create(completion_window="1h"), "completion_window"),
        (lambda: create(metadata={str(number): "x" for number in range(17)}), "metadata"),
        (lambda: create(extra_body={"priority": 1}), "priority"),
        (lambda: create(output_expires_after={"anchor": "created_at", "seconds": 60}), "output_expires_after"),
        (lambda: client.files.create(file=b"{}", purpose="fine-tune"), "purpose"),
        (
            lambda: client.files.create(
                file=b"{}", purpose="batch", expires_after={"anchor": "created_at", "seconds": 60}
            ),
            "expires_after[seconds]",
        ),
        (lambda: client.files.list(limit=0), "limit"),
        (lambda: client.batches.list(after="batch_none"), "after"),
    ):
        with pytest.raises(openai.BadRequestError) as refusal:
            attempt()
        assert refusal.value.param == param, refusal.value
    with pytest.raises(openai.NotFoundError) as missing:
        create(input_file_id="file-../../etc/passwd")
    assert missing.value.code == "file_not_found"


def test_an_idempotency_key_makes_one_batch(server: Server) -> None:
    client = server.client()
    file = client.files.create(file=line("a", prompt="once").encode(), purpose="batch").id
    headers = {"Idempotency-Key": "nightly-2026-11-23"}
    first, second = (
        client.batches.create(input_file_id=file, endpoint=URL, completion_window="24h", extra_headers=headers)
        for _ in range(2)
    )
    assert first.id == second.id
    with pytest.raises(openai.UnprocessableEntityError):
        client.batches.create(
            input_file_id=file, endpoint=URL, completion_window="24h", metadata={"a": "b"}, extra_headers=headers
        )
    wait(client, first.id)


def test_a_cancelled_batch_keeps_what_is_made(server: Server, tmp_path: Path) -> None:
    client = server.client()
    gate = tmp_path / "gate"
    lines = [line(str(number), prompt=f"early {number}", seed=1, size="64x64") for number in range(400)]
    lines[399] = line("399", prompt=f"late HOLD {gate} ", seed=1, size="64x64")
    batch = submit(client, lines)
    wait(client, batch.id, lambda found: bool(found.request_counts and found.request_counts.completed > 50))
    assert client.batches.cancel(batch.id).status == "cancelling"
    gate.touch()
    batch = wait(client, batch.id)
    assert batch.status == "cancelled" and batch.cancelled_at and batch.cancelling_at and batch.request_counts
    good, bad = answers(client, batch.output_file_id), answers(client, batch.error_file_id)
    assert good.keys() | bad.keys() == {str(number) for number in range(400)} and not good.keys() & bad.keys()
    assert len(good) == batch.request_counts.completed > 50
    assert {each["error"]["code"] for each in bad.values() if each["error"]} == {"batch_cancelled"}
    assert all(pictures(good[name]) == [flat(f"early {name}", 1)] for name in list(good)[:20])


def batch_processes(server: Server) -> list[psutil.Process]:
    """Of this server, however deep."""
    found = []
    for each in psutil.Process(server.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has ended since, or nobody has asked after it
            if "pipelines.online.batches.work" in each.cmdline():
                found.append(each)
    return found


def test_a_batch_waits_for_the_end_of_a_process_that_outlives_its_killed_server(server: Server, kept: Path) -> None:
    client = server.client()
    batch = submit(client, [line("a", prompt="patient", seed=1, size="64x64")]).id
    with Lease(LocalStore(str(kept / RUNS / batch / "dataset"))):  # as that process holds it
        wait_for(lambda: batch_processes(server))
        wait_for(lambda: not batch_processes(server))  # there is another in two seconds
        assert client.batches.retrieve(batch).status == "in_progress"
    found = wait(client, batch)
    assert found.status == "completed"
    assert pictures(answers(client, found.output_file_id)["a"]) == [flat("patient", 1)]


def test_batches_survive_the_death_of_any_process_and_a_new_server(
    server: Server, kept: Path, obedient: Callable[..., Server], tmp_path: Path
) -> None:
    """Killed in turn: the batch's own process, the ingress, and the whole server, each while pictures are made. It is
    the last test of that server."""
    gates = [tmp_path / f"gate{number}" for number in range(3)]
    client = server.client()
    lines = [line(str(number), prompt=f"row {number}", seed=number, size="64x64") for number in range(300)]
    for number, gate in zip((100, 200, 299), gates, strict=True):
        lines[number] = line(str(number), prompt=f"HOLD {gate} ", seed=number, size="64x64")
    batch = submit(client, lines).id

    def begun(found: Batch) -> bool:
        return found.status == "in_progress" and bool(batch_processes(server))

    wait(client, batch, begun)
    batch_processes(server)[0].send_signal(signal.SIGKILL)
    gates[0].touch()

    wait(client, batch, lambda found: begun(found) and bool(found.request_counts and found.request_counts.completed))
    worker = batch_processes(server)[0]
    ingress = worker.parent()
    assert ingress is not None and "Ingress" in " ".join(ingress.cmdline())
    ingress.send_signal(signal.SIGKILL)
    wait_for(lambda: not alive(worker.pid), 30)  # it ends with its server
    gates[1].touch()

    patient = server.client(retries=10)
    wait(patient, batch, begun)
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()
    gates[2].touch()

    second = obedient(replicas=1, batch_folder=kept)
    found = wait(second.client(retries=10), batch)  # until the dead server's lease is known to be dead
    assert found.status == "completed" and found.request_counts and found.request_counts.completed == 300
    good = answers(second.client(), found.output_file_id)
    assert list(good) == [str(number) for number in range(300)] and found.error_file_id is None
    for number in range(300):
        if number not in (100, 200, 299):
            assert pictures(good[str(number)]) == [flat(f"row {number}", number)]
    second.interrupt()


def test_two_servers_do_not_share_a_folder(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    surroundings = Surroundings("http://127.0.0.1:1", ("flat",), "none", 100, "none", {}, 3600.0)

    async def second() -> None:
        runner = BatchRunner(BatchStore(store), surroundings)
        runner.start()
        await runner.check_available()

    with Lease(store), pytest.raises(ApiError, match="is being written by process") as refusal:
        asyncio.run(second())
    assert (refusal.value.status, refusal.value.headers["retry-after"]) == (503, "5")
    asyncio.run(second())  # once the other is gone
