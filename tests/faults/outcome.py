"""What an output holds, in a form that two runs can be compared by."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq

from pipelines.manifest import shard_of
from pipelines.reporting import FOLDER, PAGE
from pipelines.s3_store import S3Store
from pipelines.storage import Store
from pipelines.verify import verify

OF_THE_RUN = {"generation_ms", "worker", "created_at"}  # columns that say where and when, not what
SUMS = ("README.md", "croissant.json", ".card/")  # objects that count or show all rows
SHARD_ROWS = 8
KEPT = (".run/plan.json", ".run/table/", ".run/history/")  # bookkeeping that stays when a run is over
REPORT = (FOLDER, PAGE)  # it tells of every run that there was


@dataclass(frozen=True)
class Outcome:
    """Args:
    objects: key -> sha256 of its bytes; of manifests those of all rows and columns that say what was made.
    rows: (row, image index) -> how often a manifest has it.
    failed: rows that did not succeed, by error code.
    leftovers: bookkeeping, temporary objects and unfinished uploads that a finished run should not have.
    """

    objects: dict[str, str]
    rows: Counter[tuple[int, int]]
    entries: dict[tuple[int, int], dict[str, Any]]
    failed: dict[int, str]
    leftovers: list[str]


@dataclass
class Verdict:
    """Counts against the undisturbed run; all 0 when nothing was lost."""

    lost: int = 0
    twice: int = 0
    orphans: int = 0
    different: int = 0
    unverified: int = 0
    unexpected_failures: int = 0
    names: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        counts = (self.lost, self.twice, self.orphans, self.different, self.unverified, self.unexpected_failures)
        return not any(counts)


def look(store: Store) -> Outcome:
    objects: dict[str, str] = {}
    rows: Counter[tuple[int, int]] = Counter()
    failed: dict[int, str] = {}
    entries: dict[tuple[int, int], dict[str, Any]] = {}
    leftovers = []
    for found in store.list(""):
        if found.key.startswith(".run/"):
            leftovers += [] if found.key.startswith(KEPT) else [found.key]
            continue
        if found.key.startswith(REPORT):
            continue
        data = store.read(found.key)
        if shard_of(found.key) is not None:
            shard = [plain(entry) for entry in pq.read_table(io.BytesIO(data)).to_pylist()]
            rows.update((entry["row"], entry["image_index"]) for entry in shard)
            entries |= {(entry["row"], entry["image_index"]): entry for entry in shard}
            failed |= {entry["row"]: entry["error_code"] for entry in shard if entry["status"] == "failed"}
            data = repr(shard).encode()
        objects[found.key] = hashlib.sha256(data).hexdigest()
    if isinstance(store, S3Store):
        for page in store.pages("list_multipart_uploads", Prefix=store.base):
            leftovers += [f"upload of {upload['Key']}" for upload in page.get("Uploads", ())]
    return Outcome(objects, rows, entries, failed, leftovers)


def plain(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in OF_THE_RUN}


def judge(store: Store, quiet: Outcome, poisoned: int | None = None) -> Verdict:
    """Clean, read back and compare with the undisturbed run.

    Args:
        poisoned: the row that kills its worker; it alone may differ, and must be a failure `worker_died`.
    """
    verdict = Verdict()
    verify(store.url, clean=True)
    again = verify(store.url)
    verdict.unverified = sum(again.counts.values())
    verdict.names += [f"{problem.kind} {problem.key}: {problem.detail}" for problem in again.problems]
    found = look(store)
    verdict.lost = len(quiet.rows - found.rows)
    verdict.twice = sum(count - 1 for count in found.rows.values() if count > 1)
    orphans = [*found.leftovers, *(key for key in found.objects if key not in quiet.objects)]
    verdict.orphans = len(orphans)
    expected = {} if poisoned is None else {poisoned: "worker_died"}
    verdict.unexpected_failures = sum(found.failed.get(row) != code for row, code in expected.items())
    verdict.unexpected_failures += len(set(found.failed) - set(expected))
    different = [key for key, digest in quiet.objects.items() if found.objects.get(key) != digest]
    if poisoned is not None:  # its shard's objects differ of necessity; their rows are compared one by one
        shard = f"/{poisoned // SHARD_ROWS:05d}"
        different = [key for key in different if shard not in key and not key.startswith(SUMS)]
        entries = quiet.entries.items()
        different += [str(at) for at, entry in entries if at[0] != poisoned and found.entries.get(at) != entry]
    verdict.different = len(different)
    verdict.names += [f"orphan {name}" for name in orphans] + [f"different {name}" for name in different]
    return verdict
