"""`imagegen status` and `imagegen verify`: what an output holds, without changing it."""

from __future__ import annotations

import dataclasses

from pipelines.status import Status, read_status
from pipelines.verify import Verification, verify

from .console import print_json
from .display import filtered, size_of
from .exit_codes import ExitCode


def status_command(output: str, as_json: bool) -> int:
    status = read_status(output)
    if as_json:
        print_json({**dataclasses.asdict(status), "complete": status.complete})
    else:
        print(describe_status(status))
    return ExitCode.FAILED_ROWS if status.failed else ExitCode.SUCCESS


def describe_status(status: Status) -> str:
    lines = [
        f"{status.output}: {'complete' if status.complete else 'not complete'}",
        f"table    {status.prompts}",
        f"model    {status.model} ({status.model_revision})",
        f"rows     {status.rows_done:,} of {status.rows:,} done, in {status.shards_done:,} of {status.shards:,} shards",
        f"images   {status.succeeded:,} made ({size_of(status.bytes)}), {status.failed:,} failed"
        f"{filtered(status.filtered)}",
    ]
    if status.codes:
        lines.append("failures " + ", ".join(f"{code} {count:,}" for code, count in status.codes.items()))
    lines.append(f"running  {status.running or 'no'}")
    return "\n".join(lines)


def verify_command(output: str, clean: bool, as_json: bool) -> int:
    report = verify(output, clean)
    if as_json:
        print_json({**dataclasses.asdict(report), "ok": report.ok})
    else:
        print(describe_verification(output, report))
    return ExitCode.SUCCESS if report.ok else ExitCode.ERROR


def describe_verification(output: str, report: Verification) -> str:
    read = f"{report.rows:,} rows, {report.images:,} images, {size_of(report.bytes)} read back"
    if report.ok:
        return f"{output}: all right; {read}"
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in report.counts.most_common())
    lines = [f"{output}: {sum(report.counts.values()):,} problems ({kinds}); {read}"]
    lines += [f"  {problem.kind}: {problem.key}: {problem.detail}" for problem in report.problems[:20]]
    if sum(report.counts.values()) > 20:
        lines.append("  ... (all of the first 100 with --json)")
    if report.removed:
        lines.append(f"{report.removed:,} were mended or removed; verify again to be sure")
    elif report.counts["missing_shard"]:
        lines.append("next: run the job again; finished shards are skipped")
    elif set(report.counts) <= {"orphan", "wrong_metadata"}:
        lines.append(f"next: imagegen verify {output} --clean")
    return "\n".join(lines)
