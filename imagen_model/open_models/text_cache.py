"""Text encodings that are computed once a text: row by row, kept, put together again.

A text encoder then runs on one text at a time, so that what it says of a text depends on no neighbour; the empty
negative prompt, the same prompt at another seed, and a prompt seen before cost nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

CAPACITY = 256 * 2**20  # bytes of each encoder, in the CPU's memory: what fits on a GPU must not depend on the past


class RowCache:
    """Stands where a text encoder's `forward` stood."""

    def __init__(self, encoder: nn.Module, capacity: int = CAPACITY) -> None:
        self.inner = encoder.forward
        self.capacity, self.held = capacity, 0
        self.rows: OrderedDict[tuple[Any, ...], tuple[Any, int]] = OrderedDict()
        self.computed = 0
        encoder.forward = self  # type: ignore[assignment]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        ids = args[0] if args else kwargs.get("input_ids")
        if not isinstance(ids, Tensor) or ids.dim() != 2 or torch.is_grad_enabled():
            return self.inner(*args, **kwargs)
        count = ids.shape[0]
        texts = [self.of_row(row, count, args, kwargs) for row in range(count)]
        return moved(together(texts), ids.device)

    def of_row(self, row: int, count: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        taken = [one_row(value, row, count) for value in args]
        named = {name: one_row(value, row, count) for name, value in kwargs.items()}
        key = (*map(identity, taken), *((name, identity(named[name])) for name in sorted(named)))
        found = self.rows.get(key)
        if found is None:
            output = moved(self.inner(*taken, **named), torch.device("cpu"))
            self.computed += 1
            found = (output, size_of(output))
            self.held += found[1]
            self.rows[key] = found
            while self.held > self.capacity and len(self.rows) > 1:
                self.held -= self.rows.popitem(last=False)[1][1]
        self.rows.move_to_end(key)
        return found[0]


def one_row(value: Any, row: int, count: int) -> Any:
    return value[row : row + 1] if isinstance(value, Tensor) and value.dim() and value.shape[0] == count else value


def identity(value: Any) -> Any:
    """Equal for equal values; tensors by their content."""
    if not isinstance(value, Tensor):
        return repr(value)
    return (str(value.dtype), tuple(value.shape), value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())


def together(parts: list[Any]) -> Any:
    """The encodings of all rows as one output. What is neither tensor nor made of tensors (a key-value cache) is
    left out, and so is a tensor without a dimension for rows."""
    first = parts[0]
    if isinstance(first, Tensor):
        rows = rows_dimension(first)
        if rows is None:
            return None if first.dim() else first
        return torch.cat(parts, rows)
    if isinstance(first, ModelOutput):
        return type(first)(**{name: together([part[name] for part in parts]) for name in first})
    if isinstance(first, tuple | list):
        return tuple(together(list(items)) for items in zip(*parts, strict=True))
    return None


def moved(output: Any, device: torch.device) -> Any:
    """With every tensor on the device."""
    if isinstance(output, Tensor):
        return output.to(device)
    if isinstance(output, ModelOutput):
        return type(output)(**{name: moved(value, device) for name, value in output.items()})
    if isinstance(output, tuple | list):
        return tuple(moved(value, device) for value in output)
    return output


def rows_dimension(output: Tensor) -> int | None:
    """Of what was computed for one row: the first dimension, or the second where the first counts tokens (the ChatGLM
    of Kolors: (tokens, rows, width))."""
    return next((number for number, size in enumerate(output.shape[:2]) if size == 1), None)


def size_of(output: Any) -> int:
    """Bytes of its tensors."""
    if isinstance(output, Tensor):
        return output.numel() * output.element_size()
    if isinstance(output, ModelOutput):
        return sum(size_of(value) for value in output.values())
    if isinstance(output, tuple | list):
        return sum(map(size_of, output))
    return 0
