"""What a picture costs and what a card can do, in floating-point operations."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

# Dense bfloat16 with sums in float32, in teraflops, from the makers' data sheets, by a part of the name that
# torch.cuda.get_device_name gives; the first that fits counts.
PEAKS = {
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.4,
    "H200": 989.4,
    "GH200": 989.4,
    "B200": 2250.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "A10": 125.0,
    "RTX 4090": 165.2,
}


def stated_peak(device: torch.device) -> float | None:
    """FLOP/s; None for a device that is not in the list."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak * 1e12 for part, peak in PEAKS.items() if part in name), None)


def measured_peak(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a product of two square matrices, the best of five."""
    side = 8192 if device.type == "cuda" else 512
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(6):
        wait(device)
        began = time.perf_counter()
        left @ right
        wait(device)
        seconds.append(time.perf_counter() - began)
    return 2 * side**3 / min(seconds[1:])


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def picture_flops(draw: Callable[[int], object], steps: int) -> float:
    """Floating-point operations of one picture: of matrix products, convolutions and attention, as torch counts them.

    Counted at one step and at two: every further step costs the same, and counting slows all down.

    Args:
        draw: makes one picture in so many steps.
        steps: of the pictures that are meant.
    """
    one, two = counted(draw, 1), counted(draw, 2)
    return one + (steps - 1) * (two - one)


def counted(draw: Callable[[int], object], steps: int) -> int:
    kinds: dict[Any, Any] = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_flops}
    with FlopCounterMode(display=False, custom_mapping=kinds) as counter:
        draw(steps)
    return counter.get_total_flops()


def attention_flops(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    """Of the kernel that torch's own counter leaves out; the arguments are shapes."""
    return sdpa_flop_count(query, key, value)
