"""Convolutions with their normalisation and activation, and the layers that only shrink."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from phoneproof.capture.backends.ultralytics.architecture.layers import FocusLayer, ScDownLayer


class Conv(nn.Module):
    """Convolution without bias, batch normalisation, SiLU (nothing where `linear`)."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        padding: int | None = None,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.03)
        self.act: nn.Module = nn.Identity() if linear else nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, ceil(H / stride), ceil(W / stride)]."""
        activated: Tensor = self.act(self.bn(self.conv(x)))
        return activated


def depthwise(channels: int, kernel: int, *, stride: int = 1, linear: bool = False) -> Conv:
    """One filter a channel."""
    return Conv(channels, channels, kernel, stride, groups=channels, linear=linear)


class Focus(nn.Module):
    """Space to depth by 2, then a convolution (YOLOv5 up to 5.0)."""

    def __init__(self, layer: FocusLayer) -> None:
        super().__init__()
        self.conv = Conv(4 * layer.c_in, layer.c_out, layer.kernel)

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, H / 2, W / 2]; the row's parity varies fastest."""
        even, odd = x[..., ::2], x[..., 1::2]
        parts = (even[..., ::2, :], even[..., 1::2, :], odd[..., ::2, :], odd[..., 1::2, :])
        joined: Tensor = self.conv(torch.cat(parts, 1))
        return joined


class ScDown(nn.Module):
    """Channels first, then space: a 1x1 and a depthwise convolution (YOLOv10, section 3.2)."""

    def __init__(self, layer: ScDownLayer) -> None:
        super().__init__()
        self.cv1 = Conv(layer.c_in, layer.c_out)
        self.cv2 = depthwise(layer.c_out, layer.kernel, stride=layer.stride, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, ceil(H / stride), ceil(W / stride)]."""
        shrunk: Tensor = self.cv2(self.cv1(x))
        return shrunk
