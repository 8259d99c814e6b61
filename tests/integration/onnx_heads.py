"""Detection heads as ONNX graphs, made by the tests: the last operators of each family's export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

SIZE = (64, 96)
STRIDES = (8, 16, 32)
GRIDS = ((8, 12), (4, 6), (2, 3))
CELLS = sum(rows * columns for rows, columns in GRIDS)


class Graph:
    """Operators in order; every method returns the name of what it computes."""

    def __init__(self, size: tuple[int, int] = SIZE) -> None:
        self._size = size
        self._nodes: list[Any] = []
        self._weights: list[TensorProto] = []
        self._random = np.random.default_rng(2)

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """One operator; a list of names where it has several outputs."""
        names = [f"{kind}{len(self._nodes)}_{k}" for k in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, names[0], **attributes))
        return names[0] if outputs == 1 else names

    def const(self, values: NDArray[Any] | Sequence[float] | float, whole: bool = False) -> str:
        """An initializer: float32, or int64."""
        name = f"const{len(self._weights)}"
        array = np.asarray(values, np.int64 if whole else np.float32)
        self._weights.append(numpy_helper.from_array(array, name))
        return name

    def conv(self, channels: int, stride: int, source: str = "image") -> str:
        """A convolution [1, channels, height / stride, width / stride] of the image."""
        weight = self.const(self._random.normal(0, 0.1, (channels, 3, stride, stride)))
        return str(self.op("Conv", source, weight, strides=[stride, stride]))

    def shaped(self, name: str, *shape: int) -> str:
        """Reshape."""
        return str(self.op("Reshape", name, self.const(shape, whole=True)))

    def rows(self, name: str, values: int) -> str:
        """[1, k * values, ny, nx] -> [1, anchors, values], row, column, shape."""
        last = self.op("Transpose", name, perm=[0, 2, 3, 1])
        return self.shaped(last, 1, -1, values)

    def split(self, name: str, widths: Sequence[int], axis: int) -> list[str]:
        """Parts along an axis."""
        sizes = self.const(widths, whole=True)
        return list(self.op("Split", name, sizes, outputs=len(widths), axis=axis))

    def concat(self, *parts: str, axis: int) -> str:
        """Concatenation."""
        return str(self.op("Concat", *parts, axis=axis))

    def model(self, *outputs: tuple[str, Sequence[int | str]]) -> ModelProto:
        """The file; each output with its shape."""
        graph = helper.make_graph(
            self._nodes,
            "heads",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *self._size])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in outputs],
            self._weights,
        )
        imports = [helper.make_opsetid("", 13)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)


def yolov5(classes: int = 2, *, fraction: bool = False) -> ModelProto:
    """[1, A, 5 + C]: sigmoid, split, decode, join; level by level."""
    g, levels = Graph(), []
    for stride, (rows, columns) in zip(STRIDES, GRIDS, strict=True):
        width = 5 + classes
        cells = g.shaped(g.conv(3 * width, stride), 1, 3, width, rows, columns)
        values = g.op("Sigmoid", g.op("Transpose", cells, perm=[0, 1, 3, 4, 2]))
        xy, wh, rest = g.split(values, (2, 2, classes + 1), 4)
        grid = g.const(np.ones((1, 3, rows, columns, 2)))
        centre = g.op("Mul", g.op("Add", g.op("Mul", xy, g.const(2.0)), grid), g.const(stride))
        doubled = g.op("Mul", wh, g.const(2.0))
        sides = g.op("Mul", g.op("Pow", doubled, g.const(2.0)), g.const(np.full(2, 30.0)))
        if fraction:
            centre = g.op("Div", centre, g.const((96.0, 64.0)))
            sides = g.op("Div", sides, g.const((96.0, 64.0)))
        levels.append(g.shaped(g.concat(centre, sides, rest, axis=4), 1, -1, width))
    anchors = 3 * CELLS
    return g.model((g.concat(*levels, axis=1), (1, anchors, 5 + classes)))


def yolov5_levels(classes: int = 2, *, packed: bool = False) -> ModelProto:
    """Raw levels."""
    g, outputs, width = Graph(), [], 5 + classes
    for stride, grid in zip(STRIDES, GRIDS, strict=True):
        name, shape = g.conv(3 * width, stride), (1, 3 * width, *grid)
        if not packed:
            name = g.op("Transpose", g.shaped(name, 1, 3, width, *grid), perm=[0, 1, 3, 4, 2])
            shape = (1, 3, *grid, width)  # type: ignore[assignment]
        outputs.append((name, shape))
    return g.model(*outputs)


def _yolox_level(g: Graph, stride: int, classes: int) -> str:
    scores = [g.op("Sigmoid", g.conv(width, stride)) for width in (1, classes)]
    return g.concat(g.conv(4, stride), *scores, axis=1)


def yolox_decoded(classes: int = 2) -> ModelProto:
    """[1, A, 5 + C]: levels joined, then sliced, decoded and joined again."""
    g, levels = Graph(), []
    for stride, (rows, columns) in zip(STRIDES, GRIDS, strict=True):
        levels.append(g.shaped(_yolox_level(g, stride, classes), 1, 5 + classes, rows * columns))
    joined = g.op("Transpose", g.concat(*levels, axis=2), perm=[0, 2, 1])

    def cut(first: int, end: int) -> str:
        places = [g.const([value], whole=True) for value in (first, end, 2)]
        return str(g.op("Slice", joined, *places))

    grid, stride_column = g.const(np.ones((1, CELLS, 2))), g.const(np.full((1, CELLS, 1), 32.0))
    centre = g.op("Mul", g.op("Add", cut(0, 2), grid), stride_column)
    sides = g.op("Mul", g.op("Exp", cut(2, 4)), stride_column)
    output = g.concat(centre, sides, cut(4, 5 + classes), axis=2)
    return g.model((output, (1, CELLS, 5 + classes)))


def yolox_levels(classes: int = 2) -> ModelProto:
    """[1, 5 + C, ny, nx] each."""
    g = Graph()
    names = [_yolox_level(g, stride, classes) for stride in STRIDES]
    return g.model(
        *((name, (1, 5 + classes, *grid)) for name, grid in zip(names, GRIDS, strict=True))
    )


def _distances(g: Graph) -> tuple[str, str]:
    """Corners [1, 2, A] of YOLOv8, in strides: point minus and plus its distances."""
    levels = [
        g.shaped(g.conv(4, stride), 1, 4, rows * columns)
        for stride, (rows, columns) in zip(STRIDES, GRIDS, strict=True)
    ]
    first, last = g.split(g.concat(*levels, axis=2), (2, 2), 1)
    points = g.const(np.ones((1, 2, CELLS)))
    return g.op("Sub", points, first), g.op("Add", points, last)


def _v8_boxes(g: Graph, *, corners: bool, fraction: bool) -> str:
    low, high = _distances(g)
    if not corners:
        centre = g.op("Div", g.op("Add", low, high), g.const(2.0))
        low, high = centre, g.op("Sub", high, low)
    boxes = g.op("Mul", g.concat(low, high, axis=1), g.const(np.full((1, CELLS), 32.0)))
    if fraction:
        boxes = g.op("Div", boxes, g.const(np.array([[[96], [64], [96], [64]]])))
    return str(boxes)


def _v8_scores(g: Graph, classes: int) -> str:
    levels = [
        g.shaped(g.conv(classes, stride), 1, classes, rows * columns)
        for stride, (rows, columns) in zip(STRIDES, GRIDS, strict=True)
    ]
    return str(g.op("Sigmoid", g.concat(*levels, axis=2)))


def yolov8(classes: int = 2, *, corners: bool = False, fraction: bool = False) -> ModelProto:
    """[1, 4 + C, A]."""
    g = Graph()
    boxes = _v8_boxes(g, corners=corners, fraction=fraction)
    output = g.concat(boxes, _v8_scores(g, classes), axis=1)
    return g.model((output, (1, 4 + classes, CELLS)))


def yolov8_pair(classes: int = 2, *, last: bool = True) -> ModelProto:
    """Boxes and scores apart: [1, A, 4] and [1, A, C], or the other way round."""
    g = Graph()
    boxes = _v8_boxes(g, corners=True, fraction=False)
    scores = _v8_scores(g, classes)
    if not last:
        return g.model((scores, (1, classes, CELLS)), (boxes, (1, 4, CELLS)))
    turned = [g.op("Transpose", name, perm=[0, 2, 1]) for name in (boxes, scores)]
    return g.model((turned[0], (1, CELLS, 4)), (turned[1], (1, CELLS, classes)))


def yolov8_levels(
    classes: int = 2, *, apart: bool = False, last: bool = False, bins: int = 16
) -> ModelProto:
    """Raw levels: distance logits and class logits, joined or apart, NCHW or NHWC."""
    g, outputs = Graph(), []
    for stride, grid in zip(STRIDES, GRIDS, strict=True):
        names = [g.conv(width, stride) for width in (4 * bins, classes)]
        widths = [4 * bins, classes]
        if not apart:
            names, widths = [g.concat(*names, axis=1)], [4 * bins + classes]
        for name, width in zip(names, widths, strict=True):
            if last:
                outputs.append((g.op("Transpose", name, perm=[0, 2, 3, 1]), (1, *grid, width)))
            else:
                outputs.append((name, (1, width, *grid)))
    return g.model(*reversed(outputs))  # files list them in any order


def end_to_end(kept: int = 20, classes: int = 2, *, class_first: bool = False) -> ModelProto:
    """[1, K, 6] of YOLOv10: the best K cells, their corners, score and class."""
    g = Graph()
    boxes = g.op("Transpose", _v8_boxes(g, corners=True, fraction=False), perm=[0, 2, 1])
    scores = g.op("Transpose", _v8_scores(g, classes), perm=[0, 2, 1])
    flat = g.shaped(scores, 1, -1)
    best, index = g.op("TopK", flat, g.const([kept], whole=True), outputs=2, axis=1)
    count = g.const(classes, whole=True)
    cell = g.op("Unsqueeze", g.op("Div", index, count), g.const([2], whole=True))
    wide = g.op("Expand", cell, g.const([1, kept, 4], whole=True))
    chosen = g.op("GatherElements", boxes, wide, axis=1)
    number = g.op("Cast", g.op("Mod", index, count), to=TensorProto.FLOAT)
    columns = [
        g.op("Unsqueeze", column, g.const([2], whole=True))
        for column in ((number, best) if class_first else (best, number))
    ]
    return g.model((g.concat(chosen, *columns, axis=2), (1, kept, 6)))


def ssd_raw(classes: int = 3, *, softmax: bool = False) -> ModelProto:
    """Offsets [1, A, 4] and scores [1, A, C] straight from convolutions, two shapes a cell."""
    g = Graph()
    both = []
    for values in (4, classes):
        levels = [g.rows(g.conv(2 * values, stride), values) for stride in STRIDES]
        both.append(g.concat(*levels, axis=1))
    if softmax:
        both[1] = g.op("Softmax", both[1], axis=2)
    anchors = 2 * CELLS
    return g.model((both[0], (1, anchors, 4)), (both[1], (1, anchors, classes)))


def suppressed() -> ModelProto:
    """YOLOv8 with NonMaxSuppression behind it: as many rows as there are objects."""
    g = Graph()
    boxes = g.op("Transpose", _v8_boxes(g, corners=True, fraction=False), perm=[0, 2, 1])
    most, limit = g.const([100], whole=True), g.const([0.5])
    kept = g.op("NonMaxSuppression", boxes, _v8_scores(g, 2), most, limit, g.const([0.25]))
    chosen = g.op("Gather", boxes, g.op("Cast", kept, to=TensorProto.INT64), axis=1)
    return g.model((chosen, (1, "n", 3, 4)))
