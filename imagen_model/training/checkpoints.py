"""A checkpoint is a folder that appears whole: weights, their moving average, the optimiser's moments, the step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

NAME = "checkpoint-{step:08d}"


def newest(folder: Path) -> Path | None:
    """The last whole checkpoint in the folder, if there is one."""
    found = sorted(path for path in folder.glob("checkpoint-*") if path.suffix != ".partial")
    return found[-1] if found else None


def save(
    folder: Path,
    step: int,
    learning: Mapping[str, nn.Parameter],
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> Path:
    """Write the checkpoint after `step` steps, then remove the older ones.

    Args:
        learning: the parameters that learn, by name; the frozen ones are where the run started from.
    """
    target = folder / NAME.format(step=step)
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    weights = {name: parameter.detach().contiguous() for name, parameter in learning.items()}
    save_file(weights, partial / "weights.safetensors")
    save_file(average, partial / "average.safetensors")
    moments = {
        f"{index}.{name}": torch.as_tensor(value).contiguous()
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }
    save_file(moments, partial / "optimizer.safetensors")
    (partial / "step.json").write_text(json.dumps({"step": step}))
    if target.exists():
        shutil.rmtree(target)
    partial.replace(target)
    for old in folder.glob("checkpoint-*"):
        if old != target:
            shutil.rmtree(old)
    return target


def load(
    checkpoint: Path, learning: Mapping[str, nn.Parameter], average: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> int:
    """Put a checkpoint's contents in place; returns how many steps were done."""
    for name, tensor in load_file(checkpoint / "weights.safetensors").items():
        learning[name].data.copy_(tensor)
    for name, tensor in load_file(checkpoint / "average.safetensors").items():
        average[name].copy_(tensor)
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in load_file(checkpoint / "optimizer.safetensors").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return int(json.loads((checkpoint / "step.json").read_text())["step"])
