"""The blocks of YOLOv8 as torch modules, written from their published description.

Attribute names are those the checkpoint's weights carry (``model.0.conv.weight``); everything else
is ours. The forward functions have no data-dependent shape and write nothing in place, so that
every exporter can follow them. Tensors are float32, NCHW.

Sources of the design: YOLOv8 model configuration and block diagrams (docs.ultralytics.com); SPPF
after He et al. 2015; the distance distribution after Li et al. 2020, "Generalized Focal Loss".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from phoneproof.capture.backends.ultralytics.architecture import (
    REG_MAX,
    Architecture,
    C2fLayer,
    ClassifyLayer,
    ConcatLayer,
    ConvLayer,
    DetectLayer,
    Layer,
    SppfLayer,
    UpsampleLayer,
)


class Conv(nn.Module):
    """Convolution without bias, batch normalisation, SiLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.03)
        self.act: nn.Module = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, ceil(H / stride), ceil(W / stride)]."""
        activated: Tensor = self.act(self.bn(self.conv(x)))
        return activated


class Bottleneck(nn.Module):
    """Two 3x3 convolutions, added to their input where `shortcut`."""

    def __init__(self, channels: int, *, shortcut: bool) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels, 3)
        self.cv2 = Conv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Shape unchanged."""
        y: Tensor = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C2f(nn.Module):
    """Two halves of a 1x1 convolution; the second runs through a chain, all links are joined."""

    def __init__(self, layer: C2fLayer) -> None:
        super().__init__()
        self.hidden = hidden = layer.c_out // 2
        self.cv1 = Conv(layer.c_in, 2 * hidden)
        self.cv2 = Conv((2 + layer.repeats) * hidden, layer.c_out)
        self.m = nn.ModuleList(
            Bottleneck(hidden, shortcut=layer.shortcut) for _ in range(layer.repeats)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, H, W]."""
        links = list(self.cv1(x).split((self.hidden, self.hidden), 1))
        for block in self.m:
            links.append(block(links[-1]))
        joined: Tensor = self.cv2(torch.cat(links, 1))
        return joined


class Sppf(nn.Module):
    """Pyramid pooling by three equal max poolings in a row."""

    def __init__(self, layer: SppfLayer) -> None:
        super().__init__()
        hidden = layer.c_in // 2
        self.cv1 = Conv(layer.c_in, hidden)
        self.cv2 = Conv(hidden * 4, layer.c_out)
        self.m = nn.MaxPool2d(layer.kernel, stride=1, padding=layer.kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> [N, c_out, H, W]."""
        scales = [self.cv1(x)]
        for _ in range(3):
            scales.append(self.m(scales[-1]))
        joined: Tensor = self.cv2(torch.cat(scales, 1))
        return joined


class Concat(nn.Module):
    """Joins its inputs along the channels."""

    def forward(self, *x: Tensor) -> Tensor:
        """[N, c_i, H, W] ... -> [N, sum c_i, H, W]."""
        return torch.cat(x, 1)


class Dfl(nn.Module):
    """Expectation of a discrete distribution over 0..15, as a fixed 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(REG_MAX, 1, 1, bias=False).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, 64, A] -> distances [N, 4, A], in strides."""
        bins = x.reshape(x.shape[0], 4, REG_MAX, x.shape[2]).transpose(1, 2).softmax(1)
        expected: Tensor = self.conv(bins)
        return expected.reshape(x.shape[0], 4, x.shape[2])


class Detect(nn.Module):
    """Detection head: per level a box branch and a class branch, decoded on a fixed grid."""

    anchors: Tensor
    anchor_strides: Tensor

    def __init__(self, layer: DetectLayer, size: tuple[int, int]) -> None:
        super().__init__()
        first = layer.channels[0]
        box = max(16, first // 4, 4 * REG_MAX)
        category = max(first, min(layer.classes, 100))
        self.cv2 = nn.ModuleList(_branch(c, box, 4 * REG_MAX) for c in layer.channels)
        self.cv3 = nn.ModuleList(_branch(c, category, layer.classes) for c in layer.channels)
        self.dfl = Dfl()
        centers, strides = _grid(size, layer.strides)
        self.register_buffer("anchors", centers, persistent=False)
        self.register_buffer("anchor_strides", strides, persistent=False)

    def forward(self, *levels: Tensor) -> Tensor:
        """Feature maps -> [N, 4 + classes, A]: cx, cy, w, h in pixels, then sigmoid scores."""
        boxes = [_flat(branch(x)) for branch, x in zip(self.cv2, levels, strict=True)]
        logits = [_flat(branch(x)) for branch, x in zip(self.cv3, levels, strict=True)]
        start, end = self.dfl(torch.cat(boxes, 2)).split((2, 2), 1)
        near, far = self.anchors - start, self.anchors + end
        corners = torch.cat(((near + far) / 2, far - near), 1) * self.anchor_strides
        return torch.cat((corners, torch.cat(logits, 2).sigmoid()), 1)


class Classify(nn.Module):
    """Classification head."""

    def __init__(self, layer: ClassifyLayer) -> None:
        super().__init__()
        self.conv = Conv(layer.c_in, 1280)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.0)
        self.linear = nn.Linear(1280, layer.classes)

    def forward(self, x: Tensor) -> Tensor:
        """[N, c_in, H, W] -> probabilities [N, classes]."""
        logits: Tensor = self.linear(self.drop(self.pool(self.conv(x)).reshape(x.shape[0], 1280)))
        return logits.softmax(1)


class Network(nn.Module):
    """All rows of an architecture; each reads the rows its description names."""

    def __init__(self, architecture: Architecture, size: tuple[int, int]) -> None:
        super().__init__()
        self.model = nn.ModuleList(_module(row.layer, size) for row in architecture.rows)
        self._sources = tuple(row.sources for row in architecture.rows)

    def forward(self, image: Tensor) -> Tensor:
        """[N, C, H, W] in 0..1 -> the head's output."""
        done = [image]  # row i is at place i + 1, so that source -1 is the image
        for module, sources in zip(self.model, self._sources, strict=True):
            done.append(module(*(done[source + 1] for source in sources)))
        return done[-1]


def _module(layer: Layer, size: tuple[int, int]) -> nn.Module:
    match layer:
        case ConvLayer():
            return Conv(layer.c_in, layer.c_out, layer.kernel, layer.stride)
        case C2fLayer():
            return C2f(layer)
        case SppfLayer():
            return Sppf(layer)
        case UpsampleLayer():
            return nn.Upsample(scale_factor=float(layer.factor), mode="nearest")
        case ConcatLayer():
            return Concat()
        case DetectLayer():
            return Detect(layer, size)
        case ClassifyLayer():
            return Classify(layer)


def _flat(x: Tensor) -> Tensor:
    # Not flatten(): exporters turn this one into constants, that one into shape arithmetic.
    return x.reshape(x.shape[0], x.shape[1], x.shape[2] * x.shape[3])


def _branch(c_in: int, hidden: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(
        Conv(c_in, hidden, 3), Conv(hidden, hidden, 3), nn.Conv2d(hidden, c_out, 1)
    )


def _grid(size: tuple[int, int], strides: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Cell centres [1, 2, A] (x, y in cells) and strides [1, 1, A], by level, row, column."""
    centers, widths = [], []
    for stride in strides:
        # On the CPU even while parameters are described on the meta device.
        rows = torch.arange(size[0] // stride, dtype=torch.float32, device="cpu") + 0.5
        columns = torch.arange(size[1] // stride, dtype=torch.float32, device="cpu") + 0.5
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        centers.append(torch.stack((x.flatten(), y.flatten())))
        widths.append(torch.full((1, x.numel()), float(stride), device="cpu"))
    return torch.cat(centers, 1)[None], torch.cat(widths, 1)[None]
