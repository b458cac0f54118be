"""Objects appear whole or not at all, and errors say whether they hit one object or the whole store."""

from __future__ import annotations

import os
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines import errors, storage, store_errors
from pipelines.object_store import ObjectStore
from pipelines.storage import LocalStore, Store, check_writable, open_store


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "out") if request.param == "local" else f"memory://{uuid.uuid4().hex}")


def test_put_read_list_delete(store: Store) -> None:
    assert list(store.list("")) == []
    for key in ("b/2", "b/1", "a"):
        store.put(key, key.encode() * 3)
    store.put("a", b"again")
    assert [(found.key, found.size) for found in store.list("")] == [("a", 5), ("b/1", 9), ("b/2", 9)]
    assert [found.key for found in store.list("b")] == ["b/1", "b/2"]
    assert store.read("a") == b"again" and store.exists("a") and not store.exists("c")
    store.delete("a")
    store.delete("a")
    with pytest.raises(FileNotFoundError):
        store.read("a")


def test_what_goes_while_it_is_listed_is_left_out(store: Store) -> None:
    """A writer's temporary files come and go beside a command that looks into the same output."""
    for key in "abc":
        store.put(key, b"x")
    found = store.list("")
    assert next(found).key == "a"
    store.delete("b")
    assert "c" in [one.key for one in found]


def test_create_is_exclusive(store: Store) -> None:
    assert store.create("lease", b"first")
    assert not store.create("lease", b"second")
    assert store.read("lease") == b"first"


def test_put_file(store: Store, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 10_000)
    store.put_file("folder/big", tmp_path / "big")
    assert store.read("folder/big") == b"x" * 10_000


def test_local_copy(store: Store) -> None:
    store.put("folder/big", b"x" * 10_000)
    with store.local_copy("folder/big") as path:
        assert path.read_bytes() == b"x" * 10_000
    with pytest.raises(FileNotFoundError), store.local_copy("folder/none"):
        pass
    assert store.read("folder/big") == b"x" * 10_000


def test_create_has_one_winner_among_many(tmp_path: Path) -> None:
    won: list[int] = []

    def race(index: int) -> None:
        if LocalStore(str(tmp_path)).create("lease", str(index).encode()):
            won.append(index)

    threads = [threading.Thread(target=race, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and (tmp_path / "lease").read_text() == str(won[0])


def test_a_write_that_is_cut_short_leaves_no_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(str(tmp_path))
    store.put("a", b"old")

    def killed(descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            store.put("a", b"new")
    assert store.read("a") == b"old"
    assert [found.key for found in store.list("")] == ["a"]


def test_sweep_removes_what_a_killed_writer_left(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    store.put("a", b"x")
    (tmp_path / storage.TEMPORARY / "left").write_bytes(b"half")
    store.sweep()
    store.put("b", b"y")
    assert [found.key for found in store.list("")] == ["a", "b"]


def test_a_sweep_by_another_run_does_not_fail_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_errors, "PAUSES", (0.0,))
    store, other = LocalStore(str(tmp_path)), LocalStore(str(tmp_path))
    write = storage.write_file
    swept: list[bool] = []

    def write_then_sweep(path: Path, data: bytes, durable: bool) -> None:
        write(path, data, durable)
        if not swept:
            swept.append(True)
            other.sweep()

    monkeypatch.setattr(storage, "write_file", write_then_sweep)
    store.put("a", b"x")
    assert store.read("a") == b"x"


@pytest.mark.parametrize(
    ("number", "kind"),
    [(28, errors.StoreFull), (122, errors.StoreFull), (13, errors.StoreDenied), (30, errors.StoreDenied)],
)
def test_errors_of_the_whole_store_are_not_tried_again(number: int, kind: type[Exception]) -> None:
    tries = []

    def action() -> None:
        tries.append(1)
        raise OSError(number, "no")

    with pytest.raises(kind, match="/somewhere"):
        store_errors.with_retries(action, "/somewhere")
    assert len(tries) == 1


def test_passing_errors_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_errors, "PAUSES", (0.0, 0.0, 0.0))
    tries: list[int] = []

    def action(succeed_at: int) -> Callable[[], str]:
        def attempt() -> str:
            tries.append(1)
            if len(tries) < succeed_at:
                raise ConnectionResetError("reset")
            return "done"

        return attempt

    assert store_errors.with_retries(action(4), "s3://b") == "done"
    tries.clear()
    with pytest.raises(errors.StoreUnavailable, match="reset"):
        store_errors.with_retries(action(5), "s3://b")


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of its own with the given options."""
    mounted: list[Path] = []

    def make(options: str) -> Path:
        folder = tmp_path / "mounted"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a file system takes root")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_really_full(mount: Callable[[str], Path]) -> None:
    store = LocalStore(str(mount("size=512k") / "out"))
    check_writable(store)
    store.put("a", b"x" * 1000)
    with pytest.raises(errors.StoreFull, match="free some space"):
        store.put("a", b"y" * 2**20)
    assert store.read("a") == b"x" * 1000
    assert [found.key for found in store.list("")] == ["a"]


def test_a_read_only_disk(mount: Callable[[str], Path]) -> None:
    with pytest.raises(errors.StoreDenied, match="grant it or give another output"):
        check_writable(LocalStore(str(mount("ro") / "out")))


def test_a_place_that_takes_no_folder() -> None:
    with pytest.raises(errors.StoreDenied, match="/proc/imagegen cannot be used as an output folder"):
        check_writable(LocalStore("/proc/imagegen"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_to_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(errors.StoreDenied, match="grant it or give another output"):
        check_writable(LocalStore(str(tmp_path / "out")))


def test_object_store_root_is_found_in_any_spelling() -> None:
    name = uuid.uuid4().hex
    ObjectStore(f"memory://{name}/run/").put("a/b", b"1")
    assert [found.key for found in ObjectStore(f"memory://{name}/run").list("")] == ["a/b"]
