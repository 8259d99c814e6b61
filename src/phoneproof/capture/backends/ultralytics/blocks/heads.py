"""Heads, decoded inside: what leaves the network is in pixels and probabilities."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from phoneproof.capture.backends.ultralytics.architecture.layers import (
    AnchorDetectLayer,
    ClassifyLayer,
    DetectLayer,
)
from phoneproof.capture.backends.ultralytics.blocks.convolution import Conv, depthwise


class Dfl(nn.Module):
    """Expectation of a discrete distribution over 0 .. bins - 1, as a fixed 1x1 convolution.

    Li et al. 2020, "Generalized Focal Loss".
    """

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(bins, 1, 1, bias=False).requires_grad_(False)
        self.bins = bins

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, 4 * bins, A] -> distances [N, 4, A], in strides."""
        parts = x.reshape(x.shape[0], 4, self.bins, x.shape[2]).transpose(1, 2).softmax(1)
        expected: Tensor = self.conv(parts)
        return expected.reshape(x.shape[0], 4, x.shape[2])


class Detect(nn.Module):
    """Anchor-free head: per level a box branch and a class branch, decoded on a fixed grid.

    An end-to-end head has the branches twice; only those trained for one box an object are built.
    """

    anchors: Tensor
    anchor_strides: Tensor

    def __init__(self, layer: DetectLayer, size: tuple[int, int]) -> None:
        super().__init__()
        first = layer.channels[0]
        box = max(16, first // 4, 4 * layer.bins)
        category = max(first, min(layer.classes, 100))
        make = _depthwise_branch if layer.depthwise else _branch
        boxes = nn.ModuleList(_branch(c, box, 4 * layer.bins) for c in layer.channels)
        scores = nn.ModuleList(make(c, category, layer.classes) for c in layer.channels)
        self._names = ("one2one_cv2", "one2one_cv3") if layer.end_to_end else ("cv2", "cv3")
        for name, branches in zip(self._names, (boxes, scores), strict=True):
            self.add_module(name, branches)
        self.dfl = Dfl(layer.bins) if layer.bins > 1 else nn.Identity()
        centers, strides = _grid(size, layer.strides)
        self.register_buffer("anchors", centers, persistent=False)
        self.register_buffer("anchor_strides", strides, persistent=False)

    def forward(self, *levels: Tensor) -> Tensor:
        """Feature maps -> [N, 4 + classes, A]: cx, cy, w, h in pixels, then sigmoid scores."""
        distances, logits = (self._joined(name, levels) for name in self._names)
        start, end = self.dfl(distances).split((2, 2), 1)
        near, far = self.anchors - start, self.anchors + end
        corners = torch.cat(((near + far) / 2, far - near), 1) * self.anchor_strides
        return torch.cat((corners, logits.sigmoid()), 1)

    def _joined(self, name: str, levels: tuple[Tensor, ...]) -> Tensor:
        branches = self.get_submodule(name)
        assert isinstance(branches, nn.ModuleList)
        return torch.cat([_flat(b(x)) for b, x in zip(branches, levels, strict=True)], 2)


class AnchorDetect(nn.Module):
    """YOLOv5's head: per level one convolution, decoded on the grid with the file's anchors.

    With s = sigmoid(t): centre (2 s - 0.5 + cell) * stride, sides (2 s)^2 * anchor (the YOLOv5
    architecture summary in docs.ultralytics.com, "Eliminate Grid Sensitivity").
    """

    anchors: Tensor
    corners: Tensor
    anchor_strides: Tensor

    def __init__(self, layer: AnchorDetectLayer, size: tuple[int, int]) -> None:
        super().__init__()
        self.values = 5 + layer.classes
        self.count = layer.anchors
        self.m = nn.ModuleList(nn.Conv2d(c, self.count * self.values, 1) for c in layer.channels)
        # The file's own, in strides: training may have fitted them to its data.
        levels = len(layer.strides)
        self.register_buffer("anchors", torch.zeros(levels, self.count, 2))
        corners, strides = _anchor_grid(size, layer.strides, self.count)
        self.register_buffer("corners", corners, persistent=False)
        self.register_buffer("anchor_strides", strides, persistent=False)
        self.cells = tuple((size[0] // s) * (size[1] // s) for s in layer.strides)

    def forward(self, *levels: Tensor) -> Tensor:
        """Feature maps -> [N, A, 5 + classes]: cx, cy, w, h in pixels, objectness, scores."""
        rows = [self._rows(conv(x)) for conv, x in zip(self.m, levels, strict=True)]
        center, extent, rest = torch.split(torch.cat(rows, 1).sigmoid(), [2, 2, self.values - 4], 2)
        center = (center * 2 + self.corners) * self.anchor_strides
        extent = (extent * 2) ** 2 * (self._sides() * self.anchor_strides)
        return torch.cat((center, extent, rest), 2)

    def _sides(self) -> Tensor:
        """Widths and heights of all anchors [1, A, 2] in strides; a constant once exported."""
        levels = [
            sides[:, None].expand(self.count, cells, 2).reshape(-1, 2)
            for sides, cells in zip(self.anchors, self.cells, strict=True)
        ]
        return torch.cat(levels)[None]

    def _rows(self, x: Tensor) -> Tensor:
        """[N, anchors * values, H, W] -> [N, anchors * H * W, values]."""
        cells = x.shape[2] * x.shape[3]
        split = x.reshape(x.shape[0], self.count, self.values, cells).transpose(2, 3)
        return split.reshape(x.shape[0], self.count * cells, self.values)


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


def _flat(x: Tensor) -> Tensor:
    # Not flatten(): exporters turn this one into constants, that one into shape arithmetic.
    return x.reshape(x.shape[0], x.shape[1], x.shape[2] * x.shape[3])


def _branch(c_in: int, hidden: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(
        Conv(c_in, hidden, 3), Conv(hidden, hidden, 3), nn.Conv2d(hidden, c_out, 1)
    )


def _depthwise_branch(c_in: int, hidden: int, c_out: int) -> nn.Sequential:
    """Each 3x3 convolution as a depthwise and a 1x1 one (YOLOv10, section 3.2)."""
    return nn.Sequential(
        nn.Sequential(depthwise(c_in, 3), Conv(c_in, hidden)),
        nn.Sequential(depthwise(hidden, 3), Conv(hidden, hidden)),
        nn.Conv2d(hidden, c_out, 1),
    )


def _grid(size: tuple[int, int], strides: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Cell centres [1, 2, A] (x, y in cells) and strides [1, 1, A], by level, row, column."""
    centers, widths = [], []
    for stride in strides:
        centers.append(_cells(size, stride) + 0.5)
        widths.append(torch.full((1, centers[-1].shape[1]), float(stride), device="cpu"))
    return torch.cat(centers, 1)[None], torch.cat(widths, 1)[None]


def _anchor_grid(
    size: tuple[int, int], strides: tuple[int, ...], count: int
) -> tuple[Tensor, Tensor]:
    """Corners less half a cell [1, A, 2] and strides [1, A, 1], by level, anchor, row, column."""
    corners, widths = [], []
    for stride in strides:
        corners.append((_cells(size, stride) - 0.5).T.repeat(count, 1))
        widths.append(torch.full((corners[-1].shape[0], 1), float(stride), device="cpu"))
    return torch.cat(corners)[None], torch.cat(widths)[None]


def _cells(size: tuple[int, int], stride: int) -> Tensor:
    """Columns and rows [2, H * W] of the cells of a level, row by row."""
    # On the CPU even while parameters are described on the meta device.
    rows = torch.arange(size[0] // stride, dtype=torch.float32, device="cpu")
    columns = torch.arange(size[1] // stride, dtype=torch.float32, device="cpu")
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack((x.flatten(), y.flatten()))
