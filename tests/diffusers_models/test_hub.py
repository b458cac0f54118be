"""Models by hub id, through the hub's own client and a server that speaks as much of its protocol."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .hub_server import COMMIT, hub_of

PARTS = [
    ("text_encoder", "model.safetensors"),
    ("unet", "diffusion_pytorch_model.safetensors"),
    ("vae", "diffusion_pytorch_model.safetensors"),
]
FIND = """
import sys
from imagen_model.catalog import ModelNotFound, find_model
for name in sys.argv[1:]:
    try:
        found = find_model(name)
        print(found.name, found.revision)
    except ModelNotFound as problem:
        print("refused:", problem)
"""


def test_a_hub_id_fetches_what_the_pipeline_loads_and_pins_a_revision(
    model: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "repository"
    shutil.copytree(model("stable_diffusion"), folder)
    (folder / "v1-5-pruned.safetensors").write_bytes(b"another form of the same model, as repositories have it")
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.with_suffix(".fp16.safetensors").write_bytes(b"half precision")
    weights.with_suffix(".bin").write_bytes(b"pickled")

    with hub_of(folder, "somebody/tiny", {"main", "v2", COMMIT}, gated="somebody/gated") as (address, fetched):

        def find(*names: str, offline: bool = False) -> list[str]:
            own = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": str(int(offline))}
            done = subprocess.run(
                [sys.executable, "-c", FIND, *names],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, **own, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"},
            )
            assert done.returncode == 0, done.stderr
            return done.stdout.splitlines()

        first, gated, none, other = find("somebody/tiny", "somebody/gated", "somebody/none", "somebody/tiny@v3")
        assert first.split()[0] == "somebody/tiny", first
        names = {name for name in fetched if name.endswith(".safetensors")}
        assert names == {f"{part}/{file}" for part, file in PARTS} and not any(
            name.endswith(".bin") for name in fetched
        )
        assert "accept its terms" in gated and "no model called 'somebody/none'" in none
        assert "no model called 'somebody/tiny@v3'" in other
        count = len(fetched)
        tagged, pinned = find("somebody/tiny@v2", f"somebody/tiny@{COMMIT}")
        assert tagged.split()[1] == pinned.split()[1] == first.split()[1] and len(fetched) == count
        assert find("somebody/tiny", offline=True) == [first]
