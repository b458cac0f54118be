"""`croissant.json`: the output for machines, as https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from .formats import OutputFormat
from .manifest import MANIFEST, ManifestSchema
from .plan import Plan

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
MEDIA = {"imagefolder": "image/*", "webdataset": "application/x-tar", "parquet": "application/x-parquet"}


def croissant(plan: Plan, layout: OutputFormat, schema: ManifestSchema) -> dict[str, Any]:
    """The description as JSON-LD. Its record set is the manifest, which every output format has."""
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"{plan.table_name}-{plan.settings.model}".replace("/", "-"),
        "description": f"Synthetic pictures made by {plan.settings.model} from a table of prompts.",
        "distribution": [
            file_set("pictures", layout.files, MEDIA[layout.name]),
            file_set("manifest-files", f"{MANIFEST}/*.parquet", "application/x-parquet"),
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "manifest",
                "name": "manifest",
                "description": "One row a picture, failures with their reasons included.",
                "field": [manifest_field(field) for field in schema.full if data_type(field.type) is not None],
            }
        ],
    }


def file_set(name: str, includes: str, media: str) -> dict[str, Any]:
    return {"@type": "cr:FileSet", "@id": name, "name": name, "includes": includes, "encodingFormat": media}


def manifest_field(field: pa.Field) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"manifest/{field.name}",
        "name": field.name,
        "dataType": data_type(field.type),
        "source": {"fileSet": {"@id": "manifest-files"}, "extract": {"column": field.name}},
    }


def data_type(kind: pa.DataType) -> str | None:
    """The schema.org type of plain values; None for others."""
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "sc:Date"
    return "sc:Text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else None
