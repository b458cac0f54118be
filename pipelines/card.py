"""What makes an output a dataset that can be published as it is: README.md, croissant.json and a few samples.

The card's head is the YAML that Hugging Face's hub reads (https://huggingface.co/docs/hub/datasets-cards). It
holds nothing of when, where or how fast the run was, so that two runs write the same card.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import yaml
from PIL import Image

from imagen_model.generation import ErrorCode
from imagen_model.open_models.options import shown

from .census import Census
from .croissant import croissant
from .encoding import EXTENSIONS
from .formats import OutputFormat, output_format
from .formats.layout import successes
from .formats.parquet import dataset_schema, dtype_name
from .manifest import Entry, ManifestSchema, read_manifest
from .plan import Plan
from .provenance import NONE
from .storage import Store

README = "README.md"
CROISSANT = "croissant.json"
SAMPLES = ".card/samples.png"  # hidden, so that a reader of image folders does not take it for data
CARD = {README, CROISSANT, SAMPLES}
SAMPLED_SHARDS, SAMPLED_ROWS = 4, 4
TILE = 128  # pixels of a sample's longer side
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True, slots=True)
class Sample:
    entry: Entry
    picture: Image.Image


def write_card(store: Store, plan: Plan, census: Census, finished: Sequence[int], schema: ManifestSchema) -> None:
    """Args:
    census: over all finished shards.
    finished: their numbers, in order.
    schema: of the manifest.
    """
    layout = output_format(plan.output_format)
    samples = choose_samples(store, layout, finished)
    if samples:
        store.put(SAMPLES, sample_grid([sample.picture for sample in samples]))
    else:
        store.delete(SAMPLES)
    store.put(CROISSANT, json.dumps(croissant(plan, layout, schema), indent=1, ensure_ascii=False).encode() + b"\n")
    store.put(README, readme(plan, layout, census, schema, samples).encode())


def choose_samples(store: Store, layout: OutputFormat, finished: Sequence[int]) -> list[Sample]:
    """The first pictures of a few shards, spread over the whole run."""
    count = min(SAMPLED_SHARDS, len(finished))
    found = []
    for shard in [finished[index * len(finished) // count] for index in range(count)]:
        good = successes(read_manifest(store, shard).to_pylist())[:SAMPLED_ROWS]
        for entry, data in layout.pictures(store, shard, good):
            if data is not None:
                with Image.open(io.BytesIO(data)) as picture:
                    found.append(Sample(entry, picture.convert("RGB")))
    return found


def sample_grid(pictures: Sequence[Image.Image]) -> bytes:
    """PNG of the pictures in rows of four."""
    columns = min(SAMPLED_ROWS, len(pictures))
    grid = Image.new("RGB", (columns * TILE, -(-len(pictures) // columns) * TILE), "white")
    for index, picture in enumerate(pictures):
        scale = TILE / max(picture.size)
        small = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
        corner = (index % columns * TILE + (TILE - small.width) // 2, index // columns * TILE)
        grid.paste(small, corner)
    buffer = io.BytesIO()
    grid.save(buffer, "PNG")
    return buffer.getvalue()


def dataset_title(plan: Plan) -> str:
    """After the table, not the output's folder: two runs of one job write the same card."""
    return f"{plan.table_name} by {plan.settings.model}"


def readme(plan: Plan, layout: OutputFormat, census: Census, schema: ManifestSchema, samples: list[Sample]) -> str:
    good = census.succeeded
    head: dict[str, object] = {
        "pretty_name": dataset_title(plan),
        "task_categories": ["text-to-image"],
        "tags": ["synthetic", "imagegen"],
        "size_categories": [next((name for most, name in SIZES if good < most), "1M<n<10M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": layout.files}],
                "description": f"contents {contents_hash(plan, census)}",
            }
        ],
    }
    if layout.name == "webdataset":
        head["dataset_info"] = {"features": tar_features(plan, schema)}
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip(),
        "---",
        "",
        f"# {markdown(dataset_title(plan))}",
        "",
        f"{good:,} pictures made from {plan.rows:,} prompts by the model `{plan.settings.model}` (revision "
        f"`{plan.settings.model_revision}`). Every picture is synthetic. Each can be made again, byte for byte, from "
        "its row in `manifest/`: prompt, seed and parameters.",
        "",
    ]
    if samples:
        lines += [f"![Samples, row by row]({SAMPLES})", "", "| row | prompt | seed |", "|---|---|---|"]
        lines += [f"| {s.entry['row']} | {markdown(s.entry['prompt'])} | {s.entry['seed']} |" for s in samples]
        lines.append("")
    return "\n".join([*lines, *counts(plan, census), *loading(layout)]) + "\n"


def contents_hash(plan: Plan, census: Census) -> str:
    """What tells one output's contents from another's, the same for two runs of one job.

    `datasets` caches a local folder by its name and by this configuration, not by its files: without it, a folder of
    the same name elsewhere, or this one after it has grown, would be read as what was there before.
    """
    made = [dataclasses.astuple(file) for file in plan.files]
    seen = [
        made,
        plan.settings.fingerprint(),
        plan.output_format,
        plan.rows,
        census.images,
        census.failed,
        census.bytes,
    ]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]


def counts(plan: Plan, census: Census) -> list[str]:
    settings = plan.settings
    given = {name: value for name, value in settings.parameters.items() if value is not None}
    parameters = ", ".join(f"{name} {value}" for name, value in sorted(given.items())) or "the model's own"
    return [
        "## Numbers",
        "",
        "| | |",
        "|---|---|",
        f"| prompts | {plan.rows:,} |",
        f"| pictures | {census.succeeded:,} |",
        f"| failed | {census.failed:,} |",
        *([f"| filtered by the model's safety checker | {census.filtered:,} |"] if census.filtered else []),
        *(
            f"| failed: `{code}` | {count:,} |"
            for code, count in sorted(census.codes.items())
            if code != ErrorCode.CONTENT_FILTERED
        ),
        f"| bytes of pictures | {census.bytes:,} |",
        f"| picture format | {settings.image_format}{f' quality {settings.quality}' if settings.quality else ''} |",
        *(["| signed as Content Credentials (C2PA) | yes |"] if settings.credentials is not None else []),
        *([f"| metadata in the pictures | {settings.metadata} |"] if settings.metadata != NONE else []),
        f"| parameters, where a row names none | {markdown(parameters)} |",
        *(f"| model's {name} | {markdown(value)} |" for name, value in shown(settings.options).items()),
        f"| job seed | {settings.seed} |",
        f"| config fingerprint | `{settings.fingerprint()}` |",
        "",
    ]


def loading(layout: OutputFormat) -> list[str]:
    return [
        "## Use",
        "",
        "```python",
        "import datasets",
        "",
        'pictures = datasets.load_dataset("PATH_OR_HUB_NAME", split="train")',
        "```",
        "",
        f"Pictures are stored as {layout.name} (`{layout.files}`). `manifest/*.parquet` holds one row a picture, "
        "failures with their reasons included; `croissant.json` describes the same for machines.",
    ]


def tar_features(plan: Plan, schema: ManifestSchema) -> list[dict[str, object]]:
    """Of a webdataset, so that `datasets` need not guess types from the first rows."""
    columns: list[pa.Field] = [field for field in dataset_schema(schema) if field.name != "image"]
    row = sorted(({"name": field.name, "dtype": dtype_name(field.type)} for field in columns), key=lambda f: f["name"])
    return [
        {"name": EXTENSIONS[plan.settings.image_format], "dtype": "image"},
        {"name": "txt", "dtype": "string"},
        {"name": "json", "struct": row},
        {"name": "__key__", "dtype": "string"},
        {"name": "__url__", "dtype": "string"},
    ]


def markdown(text: str, most: int = 200) -> str:
    """Any text as one harmless line of a Markdown table."""
    line = " ".join(text.split())
    line = line[:most] + ("…" if len(line) > most else "")
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|!~$" else c for c in line)
