"""The first promise for diffusers: 200 rows of a tiny Stable Diffusion give the same bytes however they are made.

All run in micro-batches of 2, so that every row has met other neighbours, or copies of itself, each time.
"""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imagen_model.open_models.options import ModelOptions
from pipelines.progress import Summary
from pipelines.verify import verify
from tests.online.conftest import start

from .conftest import hashes, rows

ROWS = 200
COMMAND = [sys.executable, "-c", "from jobs.cli import main; main()"]
SETTINGS = {"num_inference_steps": 1, "guidance_scale": 2.0}
TWO = ModelOptions(micro_batch=2)


@pytest.fixture
def prompts(table: Callable[..., str]) -> str:
    """Two sizes and, in every seventh row, a negative prompt, mixed, so that groups are filled in many ways."""
    return table(
        prompt=[f"picture {number}" for number in range(ROWS)],
        size=["24x16" if number % 3 == 1 else "16x16" for number in range(ROWS)],
        negative_prompt=["blur" if number % 7 == 0 else None for number in range(ROWS)],
    )


def test_bytes_depend_on_no_batch_worker_kill_or_server(
    prompts: str, model: Callable[[str], Path], run: Callable[..., Summary], tmp_path: Path
) -> None:
    folder, expected = model("stable_diffusion"), []
    for size in (1, 2, 5, 8):
        out = tmp_path / f"batch{size}"
        assert run(prompts, out, folder, options=TWO, batch_size=size, shard_rows=64, **SETTINGS).succeeded == ROWS
        expected = expected or hashes(out)
        assert hashes(out) == expected
    assert len(set(expected)) == ROWS

    killed = tmp_path / "killed"
    command = [*COMMAND, "generate", prompts, str(killed), "--model", str(folder)]
    command += ["--num-inference-steps", "1", "--guidance-scale", "2", "--shard-rows", "10", "--device", "cpu"]
    command += ["--micro-batch", "2"]
    process = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.PIPE, text=True)
    ends = time.time() + 200
    while len(list((killed / "manifest").glob("*.parquet"))) < 2:
        assert process.poll() is None and time.time() < ends, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert 2 <= len(list((killed / "manifest").glob("*.parquet"))) < ROWS // 10
    resumed = [*command, "--workers", "1", "--batch-size", "3"]
    done = subprocess.run(resumed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert hashes(killed) == expected and verify(str(killed)).ok

    serve = ["serve", "--model", str(folder), "--port", "0", "--device", "cpu", "--replicas", "1"]
    serve += ["--micro-batch", "2"]
    server = start([*COMMAND[1:], *serve], tmp_path)
    try:

        def ask(row: dict[str, object]) -> str:
            extra = {"seed": row["seed"], "negative_prompt": row["negative_prompt"], **SETTINGS}
            answer = client.images.generate(
                prompt=str(row["prompt"]), size=f"{row['width']}x{row['height']}", extra_body=extra
            )
            return hashlib.sha256(b64decode(answer.data[0].b64_json)).hexdigest()

        client = server.client(retries=2)
        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(ask, rows(killed))) == expected
    finally:
        assert server.stop() == 0


def test_a_filled_up_micro_batch_gives_the_same_bytes_for_every_fill(
    prompts: str, model: Callable[[str], Path], run: Callable[..., Summary], tmp_path: Path
) -> None:
    found = []
    for size in (1, 5, 16):
        out = tmp_path / f"batch{size}"
        run(prompts, out, model("stable_diffusion"), options=ModelOptions(micro_batch=4), batch_size=size, limit=30,
            shard_rows=7 if size == 5 else 30, **SETTINGS)  # fmt: skip
        found.append(hashes(out))
    assert found[0] == found[1] == found[2] and len(set(found[0])) == 30
