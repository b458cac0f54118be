"""Inception v3 as Frechet Inception Distance has it (arXiv 1706.08500): TensorFlow's network of 2015, whose weights in
torch's form are `pt_inception-2015-12-05-6726825d.pth` (the last part is how its SHA-256 begins). None come with us.

It is not torchvision's Inception: average pooling does not count the padding, the last block pools by maxima, there are
1008 classes; pictures are enlarged as TensorFlow 1 did, pixel 0 on pixel 0, and go from -1 to 127/128.

The names of modules are those of the weights. A block is a table of convolutions and the branches that they form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from .captioner import on_white
from .distances import Features

SIDE, FEATURES, CLASSES = 299, 2048, 1008
BATCH = 16


class Convolution(nn.Module):
    """Without bias, normalised, rectified. It keeps the size at stride 1 unless `padded` says otherwise."""

    def __init__(self, inputs: int, outputs: int, down: int, right: int, stride: int = 1, padded: bool = True) -> None:
        super().__init__()
        padding = (down // 2, right // 2) if padded and stride == 1 else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, (down, right), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Branches side by side, joined by channels.

    Args:
        branches: each the names of what it goes through; `a+b` forks and joins.
        convolutions: (name, inputs, outputs, lines, columns) and the stride where it is not 1.
    """

    def __init__(self, branches: Sequence[str], convolutions: Sequence[tuple[Any, ...]]) -> None:
        super().__init__()
        self.branches = [branch.split() for branch in branches]
        for name, inputs, outputs, down, right, *stride in convolutions:
            self.add_module(name, Convolution(inputs, outputs, down, right, stride[0] if stride else 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch(x, steps) for steps in self.branches], 1)

    def branch(self, x: Tensor, steps: Sequence[str]) -> Tensor:
        for step in steps:
            if step == "average":
                x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
            elif step == "maximum":
                x = F.max_pool2d(x, 3, 1, 1)
            elif step == "halve":
                x = F.max_pool2d(x, 3, 2)
            else:
                x = torch.cat([self.get_submodule(name)(x) for name in step.split("+")], 1)
        return x


def mixed_5(inputs: int, pooled: int) -> Block:
    return Block(
        ["branch1x1", "branch5x5_1 branch5x5_2", "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3", "average branch_pool"],
        [
            ("branch1x1", inputs, 64, 1, 1),
            ("branch5x5_1", inputs, 48, 1, 1),
            ("branch5x5_2", 48, 64, 5, 5),
            ("branch3x3dbl_1", inputs, 64, 1, 1),
            ("branch3x3dbl_2", 64, 96, 3, 3),
            ("branch3x3dbl_3", 96, 96, 3, 3),
            ("branch_pool", inputs, pooled, 1, 1),
        ],
    )


def mixed_6a() -> Block:
    return Block(
        ["branch3x3", "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3", "halve"],
        [
            ("branch3x3", 288, 384, 3, 3, 2),
            ("branch3x3dbl_1", 288, 64, 1, 1),
            ("branch3x3dbl_2", 64, 96, 3, 3),
            ("branch3x3dbl_3", 96, 96, 3, 3, 2),
        ],
    )


def mixed_6(inner: int) -> Block:
    names = [f"branch7x7dbl_{number}" for number in range(1, 6)]
    return Block(
        ["branch1x1", "branch7x7_1 branch7x7_2 branch7x7_3", " ".join(names), "average branch_pool"],
        [
            ("branch1x1", 768, 192, 1, 1),
            ("branch7x7_1", 768, inner, 1, 1),
            ("branch7x7_2", inner, inner, 1, 7),
            ("branch7x7_3", inner, 192, 7, 1),
            (names[0], 768, inner, 1, 1),
            (names[1], inner, inner, 7, 1),
            (names[2], inner, inner, 1, 7),
            (names[3], inner, inner, 7, 1),
            (names[4], inner, 192, 1, 7),
            ("branch_pool", 768, 192, 1, 1),
        ],
    )


def mixed_7a() -> Block:
    names = [f"branch7x7x3_{number}" for number in range(1, 5)]
    return Block(
        ["branch3x3_1 branch3x3_2", " ".join(names), "halve"],
        [
            ("branch3x3_1", 768, 192, 1, 1),
            ("branch3x3_2", 192, 320, 3, 3, 2),
            (names[0], 768, 192, 1, 1),
            (names[1], 192, 192, 1, 7),
            (names[2], 192, 192, 7, 1),
            (names[3], 192, 192, 3, 3, 2),
        ],
    )


def mixed_7(inputs: int, pooling: str) -> Block:
    return Block(
        [
            "branch1x1",
            "branch3x3_1 branch3x3_2a+branch3x3_2b",
            "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a+branch3x3dbl_3b",
            f"{pooling} branch_pool",
        ],
        [
            ("branch1x1", inputs, 320, 1, 1),
            ("branch3x3_1", inputs, 384, 1, 1),
            ("branch3x3_2a", 384, 384, 1, 3),
            ("branch3x3_2b", 384, 384, 3, 1),
            ("branch3x3dbl_1", inputs, 448, 1, 1),
            ("branch3x3dbl_2", 448, 384, 3, 3),
            ("branch3x3dbl_3a", 384, 384, 1, 3),
            ("branch3x3dbl_3b", 384, 384, 3, 1),
            ("branch_pool", inputs, 192, 1, 1),
        ],
    )


class Inception(nn.Module):
    """Pictures (pictures, 3, any, any) uint8 in, features (pictures, 2048) float32 out.

    Attributes:
        name: of the weights' file and how its SHA-256 begins, for reports.
    """

    name = "no weights"

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, 3, stride=2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3, 3, padded=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, 3)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3, 3, padded=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = mixed_5(192, 32), mixed_5(256, 64), mixed_5(288, 64)
        self.Mixed_6a = mixed_6a()
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(mixed_6, (128, 160, 160, 192))
        self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = mixed_7a(), mixed_7(1280, "average"), mixed_7(2048, "maximum")
        self.fc = nn.Linear(FEATURES, CLASSES)  # in the weights; no distance needs it

    def forward(self, pictures: Tensor) -> Tensor:
        x = (resized_as_tensorflow(pictures.float(), SIDE) - 128) / 128
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))

    @torch.inference_mode()
    def features(self, images: Sequence[Image.Image]) -> Features:
        """(pictures, 2048) float64."""
        found = []
        for start in range(0, len(images), BATCH):
            few = [np.asarray(on_white(image)) for image in images[start : start + BATCH]]
            # Each by itself where sizes differ.
            groups = [np.stack(few)] if len({one.shape for one in few}) == 1 else [one[None] for one in few]
            for group in groups:
                pixels = torch.from_numpy(group).permute(0, 3, 1, 2).to(self.fc.weight.device)
                found.append(self(pixels).cpu().double().numpy())
        return np.concatenate(found)


def resized_as_tensorflow(pictures: Tensor, side: int) -> Tensor:
    """(pictures, channels, lines, columns) float -> (pictures, channels, side, side): bilinear, without half pixels."""

    def places(size: int) -> tuple[Tensor, Tensor, Tensor]:
        at = torch.arange(side, dtype=torch.float32, device=pictures.device) * (size / side)
        low = at.long().clamp(max=size - 1)
        return low, (low + 1).clamp(max=size - 1), at - low

    low, high, share = places(pictures.shape[3])
    wide = pictures[..., low] + (pictures[..., high] - pictures[..., low]) * share
    low, high, share = places(pictures.shape[2])
    return wide[:, :, low] + (wide[:, :, high] - wide[:, :, low]) * share[:, None]
