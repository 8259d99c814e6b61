"""The three networks of MTCNN after Zhang et al. 2016, "Joint Face Detection and Alignment Using
Multitask Cascaded Convolutional Networks", figure 2, with PReLU.

Each returns the face probabilities, the box regression and, O-Net, five landmarks. The trained
files flatten feature maps column by column, as their Caffe originals did.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn


def _layers(
    number: int, c_in: int, c_out: int, kernel: int, pool: int = 0
) -> list[tuple[str, nn.Module]]:
    """Convolution, PReLU and a max pooling of stride 2, named as in the trained files."""
    layers: list[tuple[str, nn.Module]] = [
        (f"conv{number}", nn.Conv2d(c_in, c_out, kernel)),
        (f"prelu{number}", nn.PReLU(c_out)),
    ]
    return layers + ([(f"pool{number}", nn.MaxPool2d(pool, 2, ceil_mode=True))] if pool else [])


def _columns_first(x: Tensor) -> Tensor:
    return torch.flatten(x.permute(0, 3, 2, 1), 1)


class _Trunk(nn.Sequential):
    """Layers that run in their order; further modules are added by name behind them."""

    def __init__(self, layers: list[tuple[str, nn.Module]]) -> None:
        super().__init__(OrderedDict(layers))
        self.trunk = [name for name, _ in layers]

    def features(self, x: Tensor) -> Tensor:
        for name in self.trunk:
            x = getattr(self, name)(x)
        return x


class PNet(_Trunk):
    """Proposals: fully convolutional; on 12 x 12 it judges one window."""

    image_size = 12

    def __init__(self) -> None:
        layers = [*_layers(1, 3, 10, 3, pool=2), *_layers(2, 10, 16, 3), *_layers(3, 16, 32, 3)]
        super().__init__(layers)
        self.conv4_1 = nn.Conv2d(32, 2, 1)
        self.conv4_2 = nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.features(x)
        return torch.softmax(self.conv4_1(x), 1), self.conv4_2(x)


class RNet(_Trunk):
    """Refinement of windows of 24 x 24."""

    image_size = 24

    def __init__(self) -> None:
        first = [*_layers(1, 3, 28, 3, pool=3), *_layers(2, 28, 48, 3, pool=3)]
        super().__init__([*first, *_layers(3, 48, 64, 2)])
        self.dense4 = nn.Linear(576, 128)
        self.prelu4 = nn.PReLU(128)
        self.dense5_1 = nn.Linear(128, 2)
        self.dense5_2 = nn.Linear(128, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.prelu4(self.dense4(_columns_first(self.features(x))))
        return torch.softmax(self.dense5_1(x), 1), self.dense5_2(x)


class ONet(_Trunk):
    """The last judgement, of windows of 48 x 48, with five landmarks."""

    image_size = 48

    def __init__(self) -> None:
        first = [*_layers(1, 3, 32, 3, pool=3), *_layers(2, 32, 64, 3, pool=3)]
        super().__init__([*first, *_layers(3, 64, 64, 3, pool=2), *_layers(4, 64, 128, 2)])
        self.dense5 = nn.Linear(1152, 256)
        self.prelu5 = nn.PReLU(256)
        self.dense6_1 = nn.Linear(256, 2)
        self.dense6_2 = nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.prelu5(self.dense5(_columns_first(self.features(x))))
        return torch.softmax(self.dense6_1(x), 1), self.dense6_2(x), self.dense6_3(x)


def pnet() -> nn.Module:
    """Proposal network."""
    return PNet()


def rnet() -> nn.Module:
    """Refinement network."""
    return RNet()


def onet() -> nn.Module:
    """Output network."""
    return ONet()
