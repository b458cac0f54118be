"""The finished job's output becomes the batch's output files: lines `{id, custom_id, response, error}`."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import pyarrow.parquet as pq
from PIL import Image

from imagen_model.generation import PARAMETERS, GenerationRequest

from ...content_credentials import ContentCredentials
from ...credential_files import CredentialFiles, read_signing_key
from ...encoding import Encoder
from ...formats import output_format
from ...formats.layout import successes
from ...manifest import SUCCESS, Entry, finished_shards, read_manifest
from ...plan import Plan
from ...provenance import Provenance
from ...storage import Store
from ..errors import refused
from ..service import images_body
from .schemas import BatchError


@dataclass(frozen=True, slots=True)
class Counts:
    completed: int
    failed: int


def write_outputs(
    batch: str,
    dataset: Store,
    plan: Plan | None,
    table: Path,
    missing: BatchError,
    output: Path,
    errors: Path,
    signing: CredentialFiles | None = None,
) -> Counts:
    """A line for every row of the table: in `output` where all of its pictures are there, else in `errors`.

    Args:
        dataset, plan: of the batch's job; None where it never began.
        missing: why rows that no shard holds were not made.
        errors: may hold lines already; others are added.
        signing: by which pictures are signed on their way out; the dataset's are not.
    """
    ids = pq.read_table(table, columns=["id"]).column("id").to_pylist()
    completed = failed = 0
    key = None if signing is None else read_signing_key(signing)
    left = set(range(len(ids)))
    with output.open("wb") as good, errors.open("ab") as bad:
        for shard in sorted(finished_shards(dataset)) if plan is not None else ():
            assert plan is not None
            entries = read_manifest(dataset, shard).to_pylist()
            pictures = output_format(plan.output_format).pictures(dataset, shard, successes(entries))
            settings = plan.settings
            provenance = Provenance(settings.model, settings.model_revision, settings.metadata)
            credentials = ContentCredentials(key, settings.model, settings.model_revision) if key is not None else None
            for row, group in groupby(entries, key=lambda entry: entry["row"]):
                left.discard(row)
                if write_row(batch, ids[row], list(group), pictures, provenance, credentials, good, bad):
                    completed += 1
                else:
                    failed += 1
        for row in sorted(left):
            bad.write(failure_line(batch, ids[row], missing))
    return Counts(completed, failed + len(left))


def write_row(
    batch: str,
    custom_id: str,
    entries: list[Entry],
    pictures: Iterator[tuple[Entry, bytes | None]],
    provenance: Provenance,
    credentials: ContentCredentials | None,
    good: IO[bytes],
    bad: IO[bytes],
) -> bool:
    found = [next(pictures) for _ in successes(entries)]
    failure = next((entry for entry in entries if entry["status"] != SUCCESS), None)
    if failure is not None:
        error = refused(failure["error_code"], failure["error_message"])
        bad.write(answer_line(batch, custom_id, error.status, error.body()))
        return False
    if any(data is None for _, data in found):
        lost = BatchError(code="picture_lost", message="the picture was made and is no longer stored")
        bad.write(failure_line(batch, custom_id, lost))
        return False
    good.write(answer_line(batch, custom_id, 200, success_body(found, provenance, credentials)))
    return True


def success_body(
    found: Iterable[tuple[Entry, bytes | None]], provenance: Provenance, credentials: ContentCredentials | None = None
) -> dict[str, Any]:
    items, first = [], None
    for entry, data in found:
        first = first or entry
        assert data is not None
        encoder = Encoder(entry["output_format"], entry["output_quality"])
        if encoder.image_format != entry["format"]:
            with Image.open(io.BytesIO(data)) as picture:
                data = encoder.encode(picture.convert("RGB"), provenance.label(request_of(entry)))
        if credentials is not None:
            data = credentials.sign(data, encoder.image_format)
        items.append({"b64_json": base64.b64encode(data).decode(), "seed": entry["seed"]})
    assert first is not None
    created = int(first["created_at"].timestamp())
    return images_body(items, first["output_format"], f"{first['width']}x{first['height']}", created)


def request_of(entry: Entry) -> GenerationRequest:
    """What the picture was made from."""
    own: dict[str, Any] = {
        name: entry.get(name) for name in ("prompt", "seed", "negative_prompt", *PARAMETERS, "post_processing")
    }
    width, height = (entry.get(f"generated_{side}", entry[side]) for side in ("width", "height"))
    return GenerationRequest(**own, width=width, height=height)


def answer_line(batch: str, custom_id: str, status: int, body: dict[str, Any]) -> bytes:
    response = {"status_code": status, "request_id": line_id("req_", batch, custom_id), "body": body}
    return one_line(batch, custom_id, response, None)


def failure_line(batch: str, custom_id: str, error: BatchError) -> bytes:
    return one_line(batch, custom_id, None, {"code": error.code, "message": error.message})


def one_line(batch: str, custom_id: str, response: dict[str, Any] | None, error: dict[str, Any] | None) -> bytes:
    line = {
        "id": line_id("batch_req_", batch, custom_id),
        "custom_id": custom_id,
        "response": response,
        "error": error,
    }
    return json.dumps(line).encode() + b"\n"


def line_id(prefix: str, batch: str, custom_id: str) -> str:
    """The same each time the line is written."""
    return prefix + hashlib.sha256(f"{batch} {custom_id}".encode("utf-8", "surrogatepass")).hexdigest()[:24]
