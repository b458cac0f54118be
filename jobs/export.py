"""`imagegen export`: a finished run, copied into another output format."""

from __future__ import annotations

import dataclasses

from pipelines.export import Export, export

from .console import print_json
from .display import size_of
from .exit_codes import ExitCode
from .progress_line import ShardLine


def export_command(source: str, output: str, output_format: str, as_json: bool) -> int:
    with ShardLine() as follow:
        report = export(source, output_format, output, follow)
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        print(describe_export(report))
    return ExitCode.SUCCESS


def describe_export(report: Export) -> str:
    made = (
        f"{report.shards_made:,} of {report.shards:,} shards written now" if report.shards_made else "nothing was left"
    )
    return (
        f"{report.output}: {report.images:,} images as {report.output_format}, {report.failed:,} failed rows kept in "
        f"the manifest, {size_of(report.bytes)} of pictures ({made})"
    )
