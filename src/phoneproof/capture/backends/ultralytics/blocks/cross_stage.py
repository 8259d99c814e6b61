"""Cross-stage partial blocks (Wang et al. 2020, "CSPNet"): C3, C2f, C3k2 and their links."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from phoneproof.capture.backends.ultralytics.architecture.layers import (
    C2fCibLayer,
    C2fLayer,
    C3k2Layer,
    C3Layer,
)
from phoneproof.capture.backends.ultralytics.blocks.attention import PsaBlock
from phoneproof.capture.backends.ultralytics.blocks.convolution import Conv, depthwise


class Bottleneck(nn.Module):
    """Two convolutions by way of `hidden` channels, added to their input where `shortcut`."""

    def __init__(
        self, channels: int, hidden: int, kernels: tuple[int, int], *, shortcut: bool
    ) -> None:
        super().__init__()
        self.cv1 = Conv(channels, hidden, kernels[0])
        self.cv2 = Conv(hidden, channels, kernels[1])
        self.add = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Shape unchanged."""
        y: Tensor = self.cv2(self.cv1(x))
        return x + y if self.add else y


class RepVggDw(nn.Module):
    """A 7x7 and a 3x3 depthwise convolution side by side (Ding et al. 2021, "RepVGG")."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = depthwise(channels, 7, linear=True)
        self.conv1 = depthwise(channels, 3, linear=True)
        self.act: nn.Module = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """Shape unchanged."""
        activated: Tensor = self.act(self.conv(x) + self.conv1(x))
        return activated


class Cib(nn.Module):
    """Compact inverted block: depthwise and 1x1 convolutions in turn (YOLOv10, section 3.2)."""

    def __init__(self, channels: int, *, shortcut: bool, large: bool) -> None:
        super().__init__()
        wide = 2 * channels
        self.cv1 = nn.Sequential(
            depthwise(channels, 3),
            Conv(channels, wide),
            RepVggDw(wide) if large else depthwise(wide, 3),
            Conv(wide, channels),
            depthwise(channels, 3),
        )
        self.add = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Shape unchanged."""
        y: Tensor = self.cv1(x)
        return x + y if self.add else y


class C3(nn.Module):
    """Two 1x1 branches, one through the links, joined by a third 1x1 convolution."""

    def __init__(self, c_in: int, c_out: int, links: Sequence[nn.Module], hidden: int) -> None:
        super().__init__()
        self.cv1 = Conv(c_in, hidden)
        self.cv2 = Conv(c_in, hidden)
        self.cv3 = Conv(2 * hidden, c_out)
        self.m = nn.Sequential(*links)

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, H, W]."""
        joined: Tensor = self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))
        return joined


class C2f(nn.Module):
    """Two halves of a 1x1 convolution; the second runs through the links, all are joined."""

    def __init__(self, c_in: int, c_out: int, links: Sequence[nn.Module], hidden: int) -> None:
        super().__init__()
        self.c = hidden
        self.cv1 = Conv(c_in, 2 * hidden)
        self.cv2 = Conv((2 + len(links)) * hidden, c_out)
        self.m = nn.ModuleList(links)

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, H, W]."""
        parts = list(self.cv1(x).split((self.c, self.c), 1))
        for link in self.m:
            parts.append(link(parts[-1]))
        joined: Tensor = self.cv2(torch.cat(parts, 1))
        return joined


def c3(layer: C3Layer) -> C3:
    """YOLOv5's: links of a 1x1 and a 3x3 convolution."""
    hidden = layer.c_out // 2
    links = [
        Bottleneck(hidden, hidden, (1, 3), shortcut=layer.shortcut) for _ in range(layer.repeats)
    ]
    return C3(layer.c_in, layer.c_out, links, hidden)


def c2f(layer: C2fLayer) -> C2f:
    """YOLOv8's: links of two 3x3 convolutions."""
    hidden = layer.c_out // 2
    links = [
        Bottleneck(hidden, hidden, (3, 3), shortcut=layer.shortcut) for _ in range(layer.repeats)
    ]
    return C2f(layer.c_in, layer.c_out, links, hidden)


def c2f_cib(layer: C2fCibLayer) -> C2f:
    """YOLOv10's: links are compact inverted blocks."""
    hidden = layer.c_out // 2
    links = [Cib(hidden, shortcut=layer.shortcut, large=layer.large) for _ in range(layer.repeats)]
    return C2f(layer.c_in, layer.c_out, links, hidden)


def c3k2(layer: C3k2Layer) -> C2f:
    """YOLO11's and YOLO26's."""
    links = [_c3k2_link(layer) for _ in range(layer.repeats)]
    return C2f(layer.c_in, layer.c_out, links, layer.hidden)


def _c3k2_link(layer: C3k2Layer) -> nn.Module:
    """Attention wins over nesting; a nested block holds two bottlenecks of 3x3 convolutions."""
    hidden, half = layer.hidden, layer.hidden // 2
    narrow = Bottleneck(hidden, half, (3, 3), shortcut=layer.shortcut)
    if layer.attention:
        return nn.Sequential(narrow, PsaBlock(hidden))
    if not layer.nested:
        return narrow
    links = [Bottleneck(half, half, (3, 3), shortcut=layer.shortcut) for _ in range(2)]
    return C3(hidden, hidden, links, half)
