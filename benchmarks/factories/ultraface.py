"""UltraFace RFB-320, a face detector for images of 240 x 320 (MIT, Linzaer/
Ultra-Light-Fast-Generic-Face-Detector-1MB): a thin SSD with a receptive-field block (Liu et al.
2018) and the box decode inside. Written after the graph of version-RFB-320.onnx.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

HEIGHT, WIDTH = 240, 320
STRIDES = (8, 16, 32, 64)
PRIOR_SIDES = ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256))
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2


class ConvBn(nn.Module):
    """Convolution and batch normalisation, named as the receptive-field block names them."""

    def __init__(self, c_in: int, c_out: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(c_in, c_out, kernel, 1, padding, dilation, bias=False)
        self.bn = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.bn(self.conv(x))
        return result


class ConvBnRelu(ConvBn):
    """3x3, with ReLU."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(super().forward(x))


class ReceptiveField(nn.Module):
    """Three branches of growing dilation, joined, beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        few = channels // 8
        self.branch0 = _branch(channels, (few, 2 * few), dilation=2)
        self.branch1 = _branch(channels, (few, 2 * few), dilation=3)
        self.branch2 = _branch(channels, (few, few // 2 * 3, 2 * few), dilation=5)
        self.ConvLinear = ConvBn(6 * few, channels, 1)
        self.shortcut = ConvBn(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat([self.branch0(x), self.branch1(x), self.branch2(x)], 1)
        return torch.relu(self.ConvLinear(joined) + self.shortcut(x))


def _branch(c_in: int, channels: tuple[int, ...], *, dilation: int) -> nn.Sequential:
    """1x1, then 3x3 with ReLU, then a dilated 3x3; a ReLU after all but the first and the last."""
    layers: list[nn.Module] = [ConvBn(c_in, channels[0], 1)]
    layers += [ConvBnRelu(before, after) for before, after in pairwise(channels)]
    layers.append(ConvBn(channels[-1], 2 * (c_in // 8), 3, dilation))
    return nn.Sequential(*layers)


def _first(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, 2, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()
    )


def _separable(c_in: int, c_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_in, 3, stride, 1, groups=c_in, bias=False),
        nn.BatchNorm2d(c_in),
        nn.ReLU(),
        nn.Conv2d(c_in, c_out, 1, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(),
    )


def _head(c_in: int, c_out: int, stride: int = 1) -> nn.Sequential:
    depthwise = nn.Conv2d(c_in, c_in, 3, stride, 1, groups=c_in)
    return nn.Sequential(depthwise, nn.ReLU(), nn.Conv2d(c_in, c_out, 1))


def priors() -> Tensor:
    """[A, 4]: centre x, centre y, width, height as fractions, row by row of each level.

    A level's cells share the image evenly, also where its side is no multiple of the stride.
    """
    boxes: list[tuple[float, float, float, float]] = []
    for stride, sides in zip(STRIDES, PRIOR_SIDES, strict=True):
        rows, columns = -(-HEIGHT // stride), -(-WIDTH // stride)
        for y in range(rows):
            for x in range(columns):
                cx, cy = (x + 0.5) / columns, (y + 0.5) / rows
                boxes += [(cx, cy, side / WIDTH, side / HEIGHT) for side in sides]
    return torch.tensor(boxes).clamp(0.0, 1.0)


class UltraFace(nn.Module):
    """Scores [N, A, 2] (background, face) and corners [N, A, 4] as fractions."""

    image_size = (HEIGHT, WIDTH)
    priors: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.base_net = nn.Sequential(
            _first(3, 16),
            _separable(16, 32),
            _separable(32, 32, 2),
            _separable(32, 32),
            _separable(32, 64, 2),
            _separable(64, 64),
            _separable(64, 64),
            ReceptiveField(64),
            _separable(64, 128, 2),
            _separable(128, 128),
            _separable(128, 128),
            _separable(128, 256, 2),
            _separable(256, 256),
        )
        extra = nn.Sequential(nn.Conv2d(256, 64, 1), nn.ReLU(), _head(64, 256, 2), nn.ReLU())
        self.extras = nn.ModuleList([extra])
        self.classification_headers = _headers(2)
        self.regression_headers = _headers(4)
        self.register_buffer("priors", priors(), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        levels = []
        for index, layer in enumerate(self.base_net):
            x = layer(x)
            if index in (7, 10, 12):
                levels.append(x)
        levels.append(self.extras[0](x))
        scores = _joined(levels, self.classification_headers, 2)
        return torch.softmax(scores, 2), self._decoded(_joined(levels, self.regression_headers, 4))

    def _decoded(self, found: Tensor) -> Tensor:
        centre = found[..., :2] * CENTRE_VARIANCE * self.priors[:, 2:] + self.priors[:, :2]
        half = torch.exp(found[..., 2:] * SIZE_VARIANCE) * self.priors[:, 2:] / 2
        return torch.cat([centre - half, centre + half], 2)


def _headers(width: int) -> nn.ModuleList:
    counts = [len(sides) * width for sides in PRIOR_SIDES]
    separable = [_head(c, n) for c, n in zip((64, 128, 256), counts, strict=False)]
    return nn.ModuleList([*separable, nn.Conv2d(256, counts[-1], 3, 1, 1)])


def _joined(levels: list[Tensor], headers: nn.ModuleList, width: int) -> Tensor:
    parts = [
        torch.reshape(header(level).permute(0, 2, 3, 1), (level.shape[0], -1, width))
        for level, header in zip(levels, headers, strict=True)
    ]
    return torch.cat(parts, 1)


def rfb_320() -> nn.Module:
    """The network of version-RFB-320.pth."""
    return UltraFace()
