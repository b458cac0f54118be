"""The main job on a real S3 server, from a prompt folder in a bucket to a verified dataset in a bucket."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from pipelines import lease
from pipelines.errors import NoFilesMatch, NoSuchBucket, OutputLocked
from pipelines.lease import LEASE, Holder, Lease
from pipelines.manifest import finished_shards
from pipelines.prompt_table import open_table
from pipelines.s3_store import S3Store
from pipelines.storage import open_store
from pipelines.table_files import TableFiles
from pipelines.verify import verify

Table = Callable[..., str]
PROMPTS = [f"picture number {index}" for index in range(40)]


def imagegen(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("imagegen")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def served_as(url: str) -> str:
    """The content type that the server gives the object at an s3:// URL."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    kind: str = boto3.client("s3").head_object(Bucket=bucket, Key=key)["ContentType"]
    return kind


def test_the_commands_from_bucket_to_bucket(bucket: str, table: Table, tmp_path: Path) -> None:
    table({"prompt": PROMPTS[:25], "kind": ["a"] * 25}, "one.parquet", row_group_size=7)
    table({"prompt": [*PROMPTS[25:], ""], "kind": ["b"] * 16}, "two.parquet")
    out = f"{bucket}/run"
    flags = ("--model", "flat-colour", "--shard-rows", "8", "--workers", "2", "--json")
    made = imagegen("generate", f"{bucket}/prompts/", out, *flags)
    assert made.returncode == 3, made.stderr  # the empty prompt
    summary = json.loads(made.stdout)
    assert (summary["complete"], summary["images"], summary["failed"], summary["shards"]) == (True, 41, 1, 6)

    store = open_store(out)
    before = {found.key: hashlib.sha256(store.read(found.key)).hexdigest() for found in store.list("")}
    secrets = (os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_ENDPOINT_URL"])
    for key in before:
        assert not any(secret.encode() in store.read(key) for secret in secrets), key
    assert len([key for key in before if key.startswith(".run/history/")]) == 1
    assert not {key for key in before if key.startswith(".run/") and "history" not in key} - {".run/plan.json"}
    assert served_as(f"{out}/report.html") == "text/html; charset=utf-8"
    (sprite, *_) = [key for key in before if key.startswith(".report/sprites/")]
    assert served_as(f"{out}/{sprite}") == "image/webp"

    store.delete("manifest/00002.parquet")  # as if it had been cut short there
    again, retried = resume_and_retry(f"{bucket}/prompts/", out)
    assert (again["shards_made"], again["shards_skipped"], again["images"]) == (1, 5, 41)
    assert (retried["made_images"], retried["failed"], retried["complete"]) == (1, 1, True)
    after = {found.key: hashlib.sha256(store.read(found.key)).hexdigest() for found in store.list("")}
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert {key for key in changed if not key.startswith((".report/data/", ".run/history/"))} == {
        "report.html",  # it tells of the two runs
        "manifest/00002.parquet",  # it says when it was made
        "manifest/00005.parquet",  # one attempt more
    }

    status = json.loads(imagegen("status", out, "--json").stdout)
    assert (status["complete"], status["rows_done"], status["codes"]) == (True, 41, {"empty_prompt": 1})
    assert "all right; 41 rows, 40 images" in imagegen("verify", out).stdout
    open_store(f"{out}/images/00001").put("stray.png", b"x")
    assert "1 were mended or removed" in imagegen("verify", out, "--clean").stdout
    assert verify(out).ok
    others_read_it(out, tmp_path)


def resume_and_retry(prompts: str, out: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both summaries, from one process with one Ray."""
    code = (
        "import dataclasses, json, sys\n"
        "from pipelines.batch import run_batch\n"
        "from pipelines.job import BatchJob, Pool\n"
        "from pipelines.ray_flow import ray_running\n"
        "from pipelines.retry import retry_failed\n"
        "with ray_running(Pool(workers=1), None):\n"
        "    again = run_batch(BatchJob(*sys.argv[1:], model='flat-colour', shard_rows=8, pool=Pool(workers=1)))\n"
        "    retried = retry_failed(sys.argv[2], pool=Pool(workers=1))\n"
        "print(json.dumps([dataclasses.asdict(again), dataclasses.asdict(retried)]))\n"
    )
    run = subprocess.run([sys.executable, "-c", code, prompts, out], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    again, retried = json.loads(run.stdout)
    return again, retried


def others_read_it(out: str, tmp_path: Path) -> None:
    """pyarrow and DuckDB over S3 or over copied files, boto's listing: none knows of this program."""
    endpoint = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
    filesystem = fs.S3FileSystem(endpoint_override=endpoint, scheme="http", region="us-east-1")
    manifest = pq.read_table(f"{out.removeprefix('s3://')}/manifest/", filesystem=filesystem)
    assert sorted(manifest.column("row").to_pylist()) == list(range(41))
    assert duckdb.sql("select count(*), count(error_code) from manifest").fetchall() == [(41, 1)]

    bucket, _, prefix = out.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    listed = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/", Delimiter="/")
    assert {entry["Prefix"] for entry in listed["CommonPrefixes"]} >= {"run/images/", "run/manifest/", "run/.run/"}
    for entry in client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/manifest/")["Contents"]:
        copied = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        (tmp_path / Path(entry["Key"]).name).write_bytes(copied)
    assert duckdb.sql(f"select count(*) from '{tmp_path}/*.parquet' where status = 'success'").fetchall() == [(40,)]


@pytest.mark.parametrize("named", ["prompts/", "prompts", "prompts/a.csv", "prompts/*.csv"])
def test_prompts_from_a_bucket(bucket: str, tmp_path: Path, named: str) -> None:
    store = open_store(bucket)
    store.put("prompts/a.csv", b"prompt,kind\nred,1\nblue,2\n")
    if not named.endswith("a.csv"):
        store.put("prompts/b.csv", b"prompt,kind\ngreen,3\n")
        store.put("prompts/_SUCCESS", b"")
    output = open_store(f"{bucket}/run")
    read = open_table(TableFiles(f"{bucket}/{named}"), None, output)
    names = [file.name for file in read.files]
    assert names == (["a.csv"] if named.endswith("a.csv") else ["a.csv", "b.csv"])
    assert read.rows == len(names) + 1 and all(file.url.startswith(f"{bucket}/run/.run/table/") for file in read.files)


def test_prompts_that_are_not_there(bucket: str) -> None:
    with pytest.raises(NoFilesMatch, match="nothing-here"):
        TableFiles(f"{bucket}/nothing-here/")
    with pytest.raises(NoSuchBucket, match="no-such-bucket"):
        TableFiles("s3://no-such-bucket/prompts/")


def test_the_lease_is_held_renewed_and_given_back(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT", 0.1)
    store = open_store(bucket)
    with Lease(store) as held:
        first = held.holder()
        with pytest.raises(OutputLocked, match=f"process {os.getpid()}"), Lease(open_store(bucket)):
            pass
        while held.holder() == first:
            time.sleep(0.05)
        assert not held.lost
    assert not store.exists(LEASE)


def test_a_create_whose_answer_was_lost_is_recognised(bucket: str) -> None:
    class Forgetful(S3Store):
        """What a retry sees when the first try got through and its answer did not."""

        def create(self, key: str, data: bytes) -> bool:
            assert super().create(key, data)
            return super().create(key, data)

    with Lease(Forgetful(bucket)) as held:
        assert held.is_mine()


def left_by_a_dead_run(bucket: str, host: str, age: float) -> None:
    holder = Holder("dead", host, 4194304, lease.boot_id(), time.time() - age)
    open_store(bucket).put(LEASE, json.dumps(dataclasses.asdict(holder)).encode())


def test_takeover_at_once_on_this_host_and_when_stale_on_another(bucket: str) -> None:
    left_by_a_dead_run(bucket, lease.socket.gethostname(), age=1)
    with Lease(open_store(bucket)) as held:
        assert held.is_mine()
    left_by_a_dead_run(bucket, "elsewhere", age=1)
    with pytest.raises(OutputLocked, match="on elsewhere"), Lease(open_store(bucket)):
        pass
    left_by_a_dead_run(bucket, "elsewhere", age=lease.STALE + 1)
    with Lease(open_store(bucket)) as held:
        assert held.is_mine()


def test_many_takers_end_with_one_holder(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left_by_a_dead_run(bucket, "elsewhere", age=lease.STALE + 1)
    start, over = threading.Barrier(6, timeout=60), threading.Barrier(6, timeout=60)
    holding: list[str] = []

    def take() -> None:
        mine = Lease(open_store(bucket))
        start.wait()
        try:
            with mine:
                holding.append(mine.token)
                over.wait()
        except OutputLocked:
            over.wait()

    takers = [threading.Thread(target=take) for _ in range(6)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    assert len(holding) == 1


def test_a_lost_lease_is_noticed(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT", 0.05)
    with Lease(open_store(bucket)) as held:
        taker = Lease(open_store(bucket))
        while held.thread.is_alive():  # a renewal that was on its way may win once
            held.store.put(LEASE, taker.content())
            held.thread.join(0.5)
        assert held.lost
    assert taker.is_mine(), "it is not this run's to remove any more"


def test_finished_shards_by_one_listing(bucket: str) -> None:
    store = open_store(bucket)
    for key in ("manifest/00003.parquet", "manifest/00010.parquet", "manifest/notes.txt"):
        store.put(key, b"")
    assert finished_shards(store) == {3, 10}
