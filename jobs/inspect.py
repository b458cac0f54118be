"""`imagegen status` and `imagegen verify`: what an output holds, without changing it."""

from __future__ import annotations

import dataclasses
import time

from pipelines.status import Status, read_status
from pipelines.verify import MISSING, Verification, verify
from pipelines.words import counted

from .console import print_json
from .display import failed_next, failure_lines, filtered, size_of
from .exit_codes import ExitCode


def status_command(output: str, as_json: bool) -> int:
    status = read_status(output)
    if as_json:
        print_json({**dataclasses.asdict(status), "complete": status.complete})
    else:
        print(describe_status(status))
    if not status.complete:
        return ExitCode.UNFINISHED
    return ExitCode.FAILED_ROWS if status.failed else ExitCode.SUCCESS


def describe_status(status: Status) -> str:
    lines = [
        f"{status.output}: {'complete' if status.complete else 'not complete'}",
        f"table    {status.prompts}",
        f"model    {status.model} ({status.model_revision})",
        f"rows     {status.rows_done:,} of {status.rows:,} done, "
        f"in {status.shards_done:,} of {counted(status.shards, 'shard')}",
        f"images   {status.succeeded:,} made ({size_of(status.bytes)}), {status.failed:,} failed"
        f"{filtered(status.filtered)}",
    ]
    lines += failure_lines(status.codes, status.examples)
    lines.append(f"running  {status.running or 'no'}")
    if not status.complete and status.running is None:
        lines.append("next: run the job's own command again; finished shards are skipped")
    elif status.complete and status.failed:
        lines.append(f"next: {failed_next(status.output, status.codes)}")
    return "\n".join(lines)


def verify_command(output: str, clean: bool, as_json: bool) -> int:
    report = verify(output, clean)
    if as_json:
        print_json({**dataclasses.asdict(report), "ok": report.ok})
    else:
        print(describe_verification(output, report))
    if report.only_unfinished:
        return ExitCode.UNFINISHED
    return ExitCode.SUCCESS if report.ok else ExitCode.ERROR


def describe_verification(output: str, report: Verification) -> str:
    read = f"{counted(report.rows, 'row')}, {counted(report.images, 'image')}, {size_of(report.bytes)} read back"
    if report.ok:
        return f"{output}: all right; {read}"
    planned = f"{counted(report.planned_rows, 'row')} planned"
    far = f"{report.shards:,} of {counted(report.planned_shards, 'shard')} done, {planned}"
    if report.only_unfinished:
        lines = [f"{output}: not finished; {far}; what is done is all right: {read}"]
    else:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in report.counts.most_common())
        lines = [f"{output}: {sum(report.counts.values()):,} problems ({kinds}); {far}; {read}"]
    shown = [problem for problem in report.problems if problem.kind != MISSING]
    lines += [f"  {problem.kind}: {problem.key}: {problem.detail}" for problem in shown[:20]]
    if sum(report.counts.values()) - report.counts[MISSING] > 20:
        lines.append("  ... (more with --json)")
    if report.removed:
        lines.append(f"{report.removed:,} were mended or removed; verify again to be sure")
    elif report.running is not None:
        alive = max(0.0, time.time() - report.running.heartbeat)
        lines.append(
            f"it is being written by process {report.running.pid} on {report.running.host} (last sign of life "
            f"{alive:.0f} s ago): verify again when that has ended; `imagegen status {output}` says how far it is"
        )
    elif report.counts[MISSING]:
        lines.append("next: run the job's own command again, without --limit; finished shards are skipped")
    elif set(report.counts) <= {"orphan", "wrong_metadata"}:
        lines.append(f"next: imagegen verify {output} --clean")
    return "\n".join(lines)
