"""Spatial pyramid pooling (He et al. 2015), side by side and in a row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from phoneproof.capture.backends.ultralytics.architecture.layers import SppfLayer, SppLayer
from phoneproof.capture.backends.ultralytics.blocks.convolution import Conv


class Spp(nn.Module):
    """Max poolings of several sizes, each of the same input."""

    def __init__(self, layer: SppLayer) -> None:
        super().__init__()
        hidden = layer.c_in // 2
        self.cv1 = Conv(layer.c_in, hidden)
        self.cv2 = Conv(hidden * (len(layer.kernels) + 1), layer.c_out)
        self.m = nn.ModuleList(nn.MaxPool2d(k, stride=1, padding=k // 2) for k in layer.kernels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, H, W]."""
        small = self.cv1(x)
        joined: Tensor = self.cv2(torch.cat((small, *(pool(small) for pool in self.m)), 1))
        return joined


class Sppf(nn.Module):
    """Equal max poolings in a row."""

    def __init__(self, layer: SppfLayer) -> None:
        super().__init__()
        hidden = layer.c_in // 2
        self.cv1 = Conv(layer.c_in, hidden, linear=layer.linear)
        self.cv2 = Conv(hidden * (layer.poolings + 1), layer.c_out)
        self.m = nn.MaxPool2d(layer.kernel, stride=1, padding=layer.kernel // 2)
        self.n = layer.poolings
        self.add = layer.shortcut

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, H, W]."""
        scales = [self.cv1(x)]
        for _ in range(self.n):
            scales.append(self.m(scales[-1]))
        joined: Tensor = self.cv2(torch.cat(scales, 1))
        return x + joined if self.add else joined
