"""Which device a model is put on."""

from __future__ import annotations

import torch


def choose_device(device: str) -> torch.device:
    """Args:
    device: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:1".
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def name_of(device: torch.device) -> str:
    """Of the kind of device: what was found out on one holds for others of the same name."""
    if device.type == "cpu":
        return f"cpu, {torch.backends.cpu.get_cpu_capability()}"
    return torch.cuda.get_device_name(device)
