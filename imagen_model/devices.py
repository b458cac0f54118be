"""Which device a model is put on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def single_thread_on_cpu(device: torch.device) -> Iterator[None]:
    """One torch thread while decoding on a CPU: sums are then taken in one order on every machine, and a
    step is too small for a second thread to pay."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
