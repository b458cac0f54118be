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
