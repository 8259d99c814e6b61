"""ResNets for CIFAR-10 after He et al. 2016, "Deep Residual Learning for Image Recognition", 4.2.

A 3x3 convolution, three stages of n basic blocks with 16, 32 and 64 channels (6n + 2 layers), the
mean over all positions, ten logits. Shortcuts of option A: where a stage halves the image, every
second pixel is taken and the new channels are zeros, half of them before the old and half behind.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation, and the identity around them."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.stride = stride
        self.new_channels = c_out - c_in

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(inner)) + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        before = self.new_channels // 2
        behind = self.new_channels - before
        return functional.pad(x, (0, 0, 0, 0, before, behind)) if self.new_channels else x


class CifarResNet(nn.Module):
    """The network for images of 32 x 32; it runs on larger ones too."""

    def __init__(self, blocks: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(torch.mean(x, dim=(2, 3)))
        return logits


def resnet20() -> nn.Module:
    """20 layers: three blocks a stage."""
    return CifarResNet(3)


def _stage(c_in: int, c_out: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = BasicBlock(c_in, c_out, stride)
    return nn.Sequential(first, *(BasicBlock(c_out, c_out, 1) for _ in range(blocks - 1)))
