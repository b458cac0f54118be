"""The store on a real S3 server: whole objects, listings, conditions, uploads in parts, and clear refusals."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError
from botocore.session import get_session
from urllib3.exceptions import HTTPError

from pipelines import errors, s3_store
from pipelines.s3_client import s3_client
from pipelines.s3_errors import s3_meaning
from pipelines.s3_store import S3Store
from pipelines.storage import check_writable, open_store


@pytest.fixture
def store(bucket: str) -> S3Store:
    return S3Store(f"{bucket}/run/")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """5 MiB, the least that S3 takes."""
    monkeypatch.setattr(s3_store, "PART", 5 * 2**20)
    yield s3_store.PART


def uploads(store: S3Store) -> list[str]:
    pages = store.pages("list_multipart_uploads", Prefix=store.base)
    return [upload["Key"] for page in pages for upload in page.get("Uploads", ())]


def test_put_read_list_delete(store: S3Store, bucket: str) -> None:
    assert list(store.list("")) == []
    for key in ("b/2", "b/1", "a", "bb/1"):
        store.put(key, key.encode() * 3)
    store.put("a", b"again")
    store.client.put_object(Bucket=store.bucket, Key="run/b/", Body=b"")  # a folder's marker
    open_store(bucket).put("runaway/x", b"another prefix")
    assert [(found.key, found.size) for found in store.list("")] == [("a", 5), ("b/1", 9), ("b/2", 9), ("bb/1", 12)]
    assert [found.key for found in store.list("b")] == ["b/1", "b/2"]
    assert store.read("a") == b"again" and store.exists("a") and not store.exists("c")
    store.delete("a")
    store.delete("a")
    with pytest.raises(FileNotFoundError):
        store.read("a")
    check_writable(store)
    assert store.child_url("a") == f"{bucket}/run/a"


def test_small_puts_follow_the_way_of_the_first(bucket: str) -> None:
    store = S3Store(f"{bucket}/a folder/ü+&=~")
    contents = {f"{number}/x y{number}.png": os.urandom(number) for number in range(4)}
    for key, data in contents.items():
        store.put(key, data)
        assert store.small.way is not None
    assert {found.key: store.read(found.key) for found in store.list("")} == contents
    for key in contents:
        store.delete(key)
    store.client.delete_bucket(Bucket=store.bucket)
    with pytest.raises(errors.NoSuchBucket):
        store.put("b", b"y")
    assert not store.small.foreign


def test_small_puts_of_a_key_that_is_withdrawn_are_refused(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = S3Store(bucket)
    store.put("a", b"x")
    assert store.small.way is not None
    wrong = ReadOnlyCredentials("nobody", "wrong", None)
    monkeypatch.setattr(store.small, "way", dataclasses.replace(store.small.way, credentials=Frozen(wrong)))
    with pytest.raises(errors.StoreDenied, match="InvalidAccessKeyId"):
        store.put("b", b"y")


@dataclasses.dataclass
class Frozen:
    """Credentials as botocore keeps them."""

    now: ReadOnlyCredentials

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return self.now


def test_a_listing_longer_than_a_page_comes_page_by_page(store: S3Store) -> None:
    keys = [f"manifest/{number:05d}.parquet" for number in range(1234)]
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda key: store.put(key, b"x"), keys))
    assert [found.key for found in store.list("manifest")] == keys


def test_create_has_one_winner_among_many(store: S3Store) -> None:
    start = threading.Barrier(16)

    def race(index: int) -> bool:
        start.wait()
        return store.create("lease", str(index).encode())

    with ThreadPoolExecutor(16) as threads:
        won = list(threads.map(race, range(16)))
    assert sum(won) == 1 and store.read("lease") == str(won.index(True)).encode()


def test_large_objects_go_up_in_parts_and_come_back_whole(store: S3Store, small_parts: int, tmp_path: Path) -> None:
    data = os.urandom(2 * small_parts + 12345)
    (tmp_path / "big").write_bytes(data)
    store.put_file("file", tmp_path / "big")
    store.put("bytes", data)
    tags = {store.client.head_object(Bucket=store.bucket, Key=f"run/{key}")["ETag"] for key in ("file", "bytes")}
    assert len(tags) == 1 and tags.pop().endswith('-3"')
    with store.local_copy("file") as copy:
        assert copy.read_bytes() == data
    assert not copy.exists()
    assert store.read("bytes") == data


def test_an_upload_that_fails_leaves_nothing(store: S3Store, small_parts: int) -> None:
    def part(start: int, size: int) -> bytes:
        if start:
            raise OSError("the disk went away")
        return b"x" * size

    with pytest.raises(OSError, match="went away"):
        store.upload("big", 3 * small_parts, part)
    assert not store.exists("big") and uploads(store) == []


def test_sweep_frees_what_a_killed_run_left_and_a_live_upload_begins_anew(store: S3Store, small_parts: int) -> None:
    store.put(".run/tmp/probe-1", b"")
    store.call("create_multipart_upload", Key="run/killed")
    foreign = S3Store(store.url.replace("/run", "/other"))
    foreign.call("create_multipart_upload", Key="other/alive")
    swept = []

    def part(start: int, size: int) -> bytes:
        if not swept:
            swept.append(True)
            store.sweep()
        return b"x" * size

    store.upload("big", 2 * small_parts, part)
    assert store.read("big") == b"x" * 2 * small_parts
    store.sweep()
    assert uploads(store) == [] and [found.key for found in store.list("")] == ["big"]
    assert uploads(foreign) == ["other/alive"]


REFUSALS = [
    ({"AWS_SECRET_ACCESS_KEY": "wrong"}, errors.StoreDenied, "refuses the credentials .* AWS_ACCESS_KEY_ID"),
    ({"AWS_ACCESS_KEY_ID": "nobody"}, errors.StoreDenied, "refuses the credentials .* AWS_ACCESS_KEY_ID"),
    ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, errors.StoreUnavailable, r"within 1 s .*127\.0\.0\.1:9.*AWS_ENDP"),
    ({"AWS_ENDPOINT_URL": "no url"}, errors.StoreDenied, "AWS_ENDPOINT_URL"),
    ({"AWS_PROFILE": "nobody"}, errors.StoreDenied, "AWS_PROFILE"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), REFUSALS)
def test_what_is_wrong_at_the_start_is_said_with_its_remedy(
    bucket: str, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str], kind: type[Exception], message: str
) -> None:
    monkeypatch.setattr(s3_store, "FIRST_PATIENCE", 1.0)
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(kind, match=message):
        check_writable(open_store(f"{bucket}/run"))
    with pytest.raises(kind, match=message):
        open_store(f"{bucket}/run").exists("a")


def test_without_credentials(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(errors.StoreDenied, match=r"no S3 credentials were found.*AWS_PROFILE"):
        check_writable(open_store(bucket))


def test_a_bucket_that_is_not_there(gateway: Path) -> None:
    with pytest.raises(errors.NoSuchBucket, match=r"no bucket 'no-such-bucket'.*create it"):
        check_writable(open_store("s3://no-such-bucket/run"))
    with pytest.raises(errors.NoSuchBucket):
        list(open_store("s3://no-such-bucket/run").list(""))


def test_a_bucket_that_one_may_only_read(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = S3Store(bucket)
    owner.put("run/a", b"x")
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",'
        f'"Resource": "arn:aws:s3:::{owner.bucket}/*"}}]}}'
    )
    owner.client.put_bucket_policy(Bucket=owner.bucket, Policy=policy)
    with pytest.raises(errors.StoreDenied, match=r"no permission for PutObject.*grant"):
        check_writable(open_store(f"{bucket}/run"))


def test_urls_that_name_no_bucket_or_hold_credentials() -> None:
    for url in ("s3://", "s3://key:secret@bucket/run"):
        with pytest.raises(errors.InvalidJob, match="s3://bucket/folder") as raised:
            open_store(url)
        assert "secret" not in str(raised.value)


def test_without_the_libraries_the_remedy_is_named() -> None:
    code = (
        "import sys; sys.modules['botocore.session'] = None\n"
        "from pipelines.storage import open_store\n"
        "try: open_store('s3://bucket/run')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("InvalidJob") and "pip install '.[s3]' in imagegen's folder" in said


def test_a_profile_is_enough(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual chain: endpoint and keys from the files that other tools read."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")
    key, secret, endpoint, _ = (os.environ[name] for name in names)
    for name in names:
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text(f"[team]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    (tmp_path / "config").write_text(f"[profile team]\nregion = us-east-1\nendpoint_url = {endpoint}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "team")
    check_writable(open_store(f"{bucket}/run"))
    assert get_session().get_credentials().access_key == key


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_an_answer_that_is_cut_anywhere_is_no_answer(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """http.client alone takes it for an empty listing, or for a shorter object."""
    body = b"<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated></ListBucketResult>"
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    cut = whole[: int(len(whole) * share)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.sendall(cut)
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        with pytest.raises((BotoCoreError, HTTPError)) as raised:
            s3_client("s3://bucket").list_objects_v2(Bucket="bucket")
        assert s3_meaning(raised.value, "s3://bucket") is None, "another try may help"
        thread.join()
