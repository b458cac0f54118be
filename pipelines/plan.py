"""What a run is, written once to `.run/plan.json`: its table, its settings, and where each shard begins.

The plan's size is that of its files and segments, never of its rows. A segment is a stretch of rows cut into
shards of one size; a run that goes further than an earlier one (a higher limit, new files) appends a segment,
so that finished shards keep their numbers and bounds. How many workers there are, their batch size and device
are no part of it: they change no byte.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from .errors import ForeignOutput, InvalidJob, NoPlan
from .prompt_table import PlannedFile, PromptTable
from .provenance import NONE
from .shard_reader import Piece, Shard
from .storage import Store

PLAN = ".run/plan.json"
MAX_ROW = 10**9  # nine digits in an image's name
MAX_SHARD = 10**5  # five
SHARDS_A_WORKER = 48  # whoever ends first waits for at most one shard of another: 2 % of the run
COMMON_ROWS = 256  # a shard's usual upper bound: what a kill can cost, and how often progress is heard of
MOST_ROWS = 1024
MANY_SHARDS = 2000
VERSION = 1


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows [first_row, first_row + rows) in shards of `shard_rows` (the last may be shorter)."""

    first_row: int
    rows: int
    shard_rows: int
    first_shard: int

    @property
    def shards(self) -> int:
        return -(-self.rows // self.shard_rows)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything but the table that decides what a run's files hold.

    Args:
        model, model_revision: of the model really used.
        parameters: the job's width, height, num_inference_steps, ...; None is the model's own default.
        images_per_prompt: for a row without `n`.
        seed: of the job.
        image_format: png, jpeg or webp.
        quality: 1 to 100, None for png.
        options: of a diffusers model, those that decide pictures; absent from plan and fingerprint where there are
            none.
        metadata: a level of `provenance.LEVELS`; younger than the first plans, and absent where it is `none`.
        credentials: SHA-256 of the certificate chain that signs the files; absent where none does.
    """

    model: str
    model_revision: str
    parameters: Mapping[str, Any]
    images_per_prompt: int
    seed: int
    image_format: str
    quality: int | None
    options: Mapping[str, Any] = field(default_factory=dict)
    metadata: str = NONE
    credentials: str | None = None

    def to_dict(self) -> dict[str, Any]:
        fields = dataclasses.asdict(self)
        if not self.options:
            del fields["options"]
        if self.metadata == NONE:
            del fields["metadata"]
        if self.credentials is None:
            del fields["credentials"]
        return fields

    def fingerprint(self) -> str:
        """Hash over all of it (hex, 16 digits)."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Plan:
    """Args:
    prompts, input_format, prompt_column, called: table and model as the user named them, for commands that
        are not given them again; no part of what is compared.
    files: in the order of their rows.
    columns: name -> Arrow type of every column that is read.
    parts: part -> column, as `ColumnMap.parts`.
    output_format: how pictures are stored; it changes no picture.
    """

    prompts: str
    input_format: str | None
    prompt_column: str | None
    called: str
    files: tuple[PlannedFile, ...]
    columns: Mapping[str, str]
    parts: Mapping[str, str]
    settings: Settings
    output_format: str
    segments: tuple[Segment, ...]

    @property
    def table_name(self) -> str:
        """The prompt table's own name, without folder and ending."""
        return PurePosixPath(self.prompts.rstrip("/")).stem or "prompts"

    @property
    def rows(self) -> int:
        """Rows that the segments cover."""
        return sum(segment.rows for segment in self.segments)

    @property
    def shards(self) -> int:
        return sum(segment.shards for segment in self.segments)

    def bounds(self, limit: int | None = None) -> Iterator[tuple[int, int, int]]:
        """(number, first row, row after the last) of each shard that starts below `limit`."""
        for segment in self.segments:
            end = segment.first_row + segment.rows
            for index in range(segment.shards):
                start = segment.first_row + index * segment.shard_rows
                if limit is not None and start >= limit:
                    return
                yield segment.first_shard + index, start, min(start + segment.shard_rows, end)

    def to_json(self) -> bytes:
        fields = dataclasses.asdict(self)
        fields["settings"] = self.settings.to_dict()
        fields["version"] = VERSION
        fields["config_fingerprint"] = self.settings.fingerprint()
        return json.dumps(fields, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def parse_plan(data: bytes, output: str) -> Plan:
    try:
        fields = json.loads(data)
        if fields.pop("version") != VERSION:
            raise ValueError("it was written by another version of this program")
        fields.pop("config_fingerprint")
        fields.setdefault("output_format", "imagefolder")  # of plans from before there were others
        fields["files"] = tuple(PlannedFile(**file) for file in fields["files"])
        fields["segments"] = tuple(Segment(**segment) for segment in fields["segments"])
        fields["settings"] = Settings(**fields["settings"])
        return Plan(**fields)
    except (ValueError, KeyError, TypeError) as error:
        raise ForeignOutput(f"{output}/{PLAN} is no plan of this program ({error}); give another output") from error


def load_plan(store: Store) -> Plan:
    """Raises:
    NoPlan: the folder holds no run.
    """
    try:
        return parse_plan(store.read(PLAN), store.url)
    except FileNotFoundError:
        raise NoPlan(f"{store.url} holds no run ({PLAN} is missing); give the output folder of one") from None


def choose_shard_rows(rows: int, workers: int, batch_size: int) -> int:
    """Rows a shard: a multiple of the batch, small enough to spread evenly, large enough not to be tiny."""
    most = COMMON_ROWS
    while rows > most * MANY_SHARDS and most < MOST_ROWS:
        most *= 2
    even = -(-rows // (workers * SHARDS_A_WORKER))
    batches = max(1, min(-(-even // batch_size), most // batch_size))
    return min(batches * batch_size, MOST_ROWS)


def cut(segments: tuple[Segment, ...], rows: int, shard_rows: int) -> tuple[Segment, ...]:
    """`segments` and, where they end before `rows`, one more up to there.

    Raises:
        InvalidJob: more rows or shards than names have digits for.
    """
    done = sum(segment.rows for segment in segments)
    if rows <= done:
        return segments
    added = Segment(done, rows - done, shard_rows, sum(segment.shards for segment in segments))
    if rows > MAX_ROW or added.first_shard + added.shards > MAX_SHARD:
        raise InvalidJob(
            f"{rows:,} rows in shards of {shard_rows} are too many (at most {MAX_ROW:,} rows and "
            f"{MAX_SHARD:,} shards); split the table, or give larger shards"
        )
    return (*segments, added)


def locate(plan: Plan, table: PromptTable, limit: int | None, wanted: set[int]) -> Iterator[Shard]:
    """The shards of these numbers with the pieces of files that hold their rows, in order."""
    files = list(table.files)
    firsts = [0]
    for file in files:
        firsts.append(firsts[-1] + file.rows)
    index = 0
    for number, start, stop in plan.bounds(limit):
        while firsts[index + 1] <= start:
            index += 1
        if number not in wanted:
            continue
        pieces = []
        for at in range(index, len(files)):
            low, high = max(start, firsts[at]), min(stop, firsts[at + 1])
            if low >= stop:
                break
            if low < high:
                pieces.append(Piece(files[at].url, low - firsts[at], high - low))
        yield Shard(number, start, stop, tuple(pieces))
