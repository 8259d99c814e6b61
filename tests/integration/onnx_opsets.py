"""One small detector written as each ONNX opset writes it: the same network, other spellings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Dims = list[int | str]
Attribute = int | float | str | Sequence[int] | Sequence[float]
SIDE = 32
CLASSES = 5

# What a format version may carry at least (the table in onnx's Versioning.md, and IR 3 for old).
_IR_OF_OPSET = {7: 3, 8: 3, 9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 15: 8}
_NEWER_IR = ((19, 8), (21, 9), (23, 10), (24, 11), (25, 12), (99, 13))


class Writer:
    """Nodes and weights of a graph, in the spelling of one opset."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, NDArray[np.generic]] = {}
        self._random = np.random.default_rng(11)
        self._count = 0

    def add(self, op: str, *inputs: str, **attributes: Attribute) -> str:
        """One node; its only output's name."""
        return self.add_many(op, 1, *inputs, **attributes)[0]

    def add_many(self, op: str, outputs: int, *inputs: str, **attributes: Attribute) -> list[str]:
        self._count += 1
        names = [f"{op.lower()}_{self._count}_{index}" for index in range(outputs)]
        node = helper.make_node(op, list(inputs), names, f"{op}_{self._count}")
        node.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items())
        self.nodes.append(node)
        return names

    def weight(self, *shape: int, scale: float = 0.3) -> str:
        return self.constant(self._random.normal(0, scale, shape).astype(np.float32))

    def positive(self, *shape: int) -> str:
        return self.constant(self._random.uniform(0.5, 1.5, shape).astype(np.float32))

    def constant(self, values: object, dtype: type[np.generic] = np.float32) -> str:
        name = f"k{len(self.weights)}"
        self.weights[name] = np.asarray(values, dtype)
        return name

    def whole(self, values: Sequence[int]) -> str:
        return self.constant(list(values), np.int64)

    def convolution(self, x: str, inputs: int, outputs: int, kernel: int = 3, **more: int) -> str:
        weight = self.weight(outputs, inputs // more.get("group", 1), kernel, kernel)
        stride = more.pop("stride", 1)
        return self.add(
            "Conv",
            x,
            weight,
            self.weight(outputs),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
            **more,
        )

    def normalised(self, x: str, channels: int) -> str:
        parameters = [self.positive(channels), self.weight(channels), self.weight(channels)]
        attributes: dict[str, Attribute] = {"epsilon": 1e-3}
        if self.opset < 9:
            attributes["spatial"] = 1
        return self.add("BatchNormalization", x, *parameters, self.positive(channels), **attributes)

    def clipped(self, x: str, low: float, high: float) -> str:
        if self.opset < 11:
            return self.add("Clip", x, min=low, max=high)
        return self.add("Clip", x, self.constant(low), self.constant(high))

    def dropped(self, x: str) -> str:
        if self.opset < 12:
            return self.add("Dropout", x, ratio=0.3)
        return self.add("Dropout", x, self.constant(0.3))

    def padded(self, x: str, pads: Sequence[int]) -> str:
        if self.opset < 11:
            return self.add("Pad", x, mode="constant", pads=list(pads), value=0.25)
        return self.add("Pad", x, self.whole(pads), self.constant(0.25), mode="constant")

    def enlarged(self, x: str, mode: str) -> str:
        scales = [1.0, 1.0, 2.0, 2.0]
        if self.opset < 9:
            return self.add("Upsample", x, mode=mode, scales=scales)
        if self.opset == 9:
            return self.add("Upsample", x, self.constant(scales), mode=mode)
        if self.opset == 10:
            return self.add("Resize", x, self.constant(scales), mode=mode)
        attributes = {"coordinate_transformation_mode": "asymmetric", "mode": mode}
        if mode == "nearest":
            attributes["nearest_mode"] = "floor"
        roi = self.constant([]) if self.opset < 13 else ""
        return self.add("Resize", x, roi, self.constant(scales), **attributes)

    def part(self, x: str, axis: int, start: int, end: int) -> str:
        if self.opset < 10:
            return self.add("Slice", x, axes=[axis], starts=[start], ends=[end])
        where = [self.whole([start]), self.whole([end]), self.whole([axis])]
        return self.add("Slice", x, *where)

    def halves(self, x: str, axis: int, sizes: Sequence[int]) -> list[str]:
        if self.opset < 13:
            return self.add_many("Split", len(sizes), x, axis=axis, split=list(sizes))
        return self.add_many("Split", len(sizes), x, self.whole(sizes), axis=axis)

    def squeezed(self, x: str, axis: int, op: str = "Squeeze") -> str:
        if self.opset < 13:
            return self.add(op, x, axes=[axis])
        return self.add(op, x, self.whole([axis]))

    def averaged(self, x: str, axes: Sequence[int]) -> str:
        if self.opset < 18:
            return self.add("ReduceMean", x, axes=list(axes), keepdims=1)
        return self.add("ReduceMean", x, self.whole(axes), keepdims=1)

    def summed(self, x: str, axis: int) -> str:
        if self.opset < 13:
            return self.add("ReduceSum", x, axes=[axis], keepdims=1)
        return self.add("ReduceSum", x, self.whole([axis]), keepdims=1)

    def newest(self, x: str, channels: int) -> str:
        """Operators that arrived later, where the opset has them."""
        if self.opset >= 14:
            x = self.add("HardSwish", x)
        if self.opset >= 18:
            x = self.add("Mish", x)
        if self.opset >= 20:
            x = self.add("Gelu", x, approximate="none")
        if self.opset >= 21:
            scale, bias = self.positive(channels), self.weight(channels)
            x = self.add("GroupNormalization", x, scale, bias, num_groups=2, epsilon=1e-5)
        if self.opset == 24:  # ONNX Runtime 1.31 runs Swish in models of opset 24 alone
            x = self.add("Swish", x)
        return x

    def model(self, outputs: dict[str, Dims], dims: Dims, *, listed: bool = False) -> ModelProto:
        """listed: weights are named among the inputs too, as IR 3 demands."""
        weights = [numpy_helper.from_array(value, name) for name, value in self.weights.items()]
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)]
        if listed or self.opset < 9:
            inputs += [
                helper.make_tensor_value_info(w.name, w.data_type, list(w.dims)) for w in weights
            ]
        for name in outputs:
            self.nodes.append(helper.make_node("Identity", [name], [f"{name}_out"], f"end_{name}"))
        ends = [
            helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, shape)
            for name, shape in outputs.items()
        ]
        graph = helper.make_graph(self.nodes, "net", inputs, ends, weights)
        newer = next(ir for last, ir in _NEWER_IR if self.opset < last)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=_IR_OF_OPSET.get(self.opset, newer),
        )


def detector(opset: int, dims: Dims | None = None, *, listed: bool = False) -> ModelProto:
    """[1, 3, 32, 32] -> [1, 4 + C, 512] boxes joined to scores, and [1, C] probabilities."""
    w = Writer(opset)
    x = w.normalised(w.convolution("x", 3, 8, stride=2), 8)
    x = w.add("LeakyRelu", x, alpha=0.1)
    x = w.newest(w.clipped(x, -3.0, 3.0), 8)
    deep = w.add(
        "MaxPool", w.padded(x, [0, 0, 1, 1, 0, 0, 1, 1]), kernel_shape=[3, 3], strides=[2, 2]
    )
    deep = w.add("PRelu", w.convolution(deep, 8, 8, group=8), w.positive(8, 1, 1))
    high = w.add(
        "Concat", x, w.part(w.part(w.enlarged(deep, "nearest"), 2, 0, 16), 3, 0, 16), axis=1
    )
    low = w.part(w.part(w.enlarged(deep, "linear"), 2, 0, 16), 3, 0, 16)
    first, second = w.halves(high, 1, [8, 8])
    joined = w.add("Add", w.add("Mul", first, w.add("Sigmoid", second)), low)
    up = w.add("ConvTranspose", deep, w.weight(8, 4, 2, 2), kernel_shape=[2, 2], strides=[2, 2])
    up = w.part(w.part(up, 2, 0, 16), 3, 0, 16)
    joined = w.add("Concat", joined, up, axis=1)
    head = w.convolution(w.dropped(joined), 12, 4 + CLASSES, kernel=1)
    flat = w.add("Reshape", head, w.whole([1, 4 + CLASSES, 256]))
    boxes, scores = w.halves(flat, 1, [4, CLASSES])
    boxes = w.add("Mul", w.add("Exp", w.clipped(boxes, -4.0, 4.0)), w.constant(8.0))
    wide = w.add("Reshape", w.add("Softmax", head, axis=1), w.whole([1, 4 + CLASSES, 256]))
    scores = w.add("Add", scores, w.part(wide, 1, 4, 4 + CLASSES))
    final = w.add("Concat", boxes, w.add("Sigmoid", scores), axis=1)
    pooled = w.squeezed(w.squeezed(w.averaged(joined, [2, 3]), 3), 2)
    logits = w.add("Gemm", pooled, w.weight(12, CLASSES), w.weight(CLASSES))
    odds = w.add("Div", w.add("Exp", logits), w.summed(w.add("Exp", logits), 1))
    both = w.add("Mul", w.add("Softmax", logits, axis=1), odds)
    return w.model(
        {final: [1, 4 + CLASSES, 256], both: [1, CLASSES]},
        dims or [1, 3, SIDE, SIDE],
        listed=listed,
    )


def dynamic_detector(opset: int = 17) -> ModelProto:
    """Batch, height and width open; sizes are computed by Shape, Gather and Concat."""
    w = Writer(opset)
    deep = w.convolution(w.convolution("x", 3, 8, stride=2), 8, 8, stride=2)
    high = w.convolution("x", 3, 8, stride=2)
    shape = w.add("Shape", high)
    sides = [w.add("Gather", shape, w.whole([axis]), axis=0) for axis in (2, 3)]
    first = w.add("Gather", w.add("Shape", deep), w.whole([0, 1]), axis=0)
    size = w.add("Concat", first, *sides, axis=0)
    up = w.add(
        "Resize",
        deep,
        "",
        "",
        size,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    by_scales = w.enlarged(deep, "nearest")
    joined = w.add(
        "Add", w.add("Concat", high, up, axis=1), w.add("Concat", by_scales, high, axis=1)
    )
    head = w.convolution(joined, 16, 4 + CLASSES, kernel=1)
    batch = w.add("Gather", w.add("Shape", head), w.whole([0]), axis=0)
    flat = w.add("Reshape", head, w.add("Concat", batch, w.whole([4 + CLASSES, -1]), axis=0))
    boxes, scores = w.halves(flat, 1, [4, CLASSES])
    final = w.add("Concat", w.add("Exp", boxes), w.add("Sigmoid", scores), axis=1)
    return w.model({final: ["n", 4 + CLASSES, "a"]}, ["n", 3, "h", "w"])


def newest_spellings(opset: int) -> ModelProto:
    """What opsets 18 and 19 say otherwise: axes as inputs, parts by number, axes of a Resize."""
    w = Writer(opset)
    x = w.convolution("x", 3, 7)
    padded = w.add("Pad", x, w.whole([1, 2, 3, 0]), w.constant(0.5), w.whole([3, 2]))
    sized = w.add("Resize", padded, "", w.constant([2.0, 2.0]), axes=[2, 3], mode="nearest")
    sized = w.add(
        "Resize", sized, "", "", w.whole([20, 24]), axes=[3, 2], mode="linear", antialias=0
    )
    parts = w.add_many("Split", 3, sized, axis=1, num_outputs=3)
    joined = w.add("Concat", *reversed(parts), axis=1)
    pooled = w.add("AveragePool", joined, kernel_shape=[2, 2], strides=[2, 2], dilations=[1, 1])
    values = [
        w.add(op, pooled, w.whole([2, 3]), keepdims=0)
        for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2")
    ]
    untouched = w.add("ReduceMax", w.add("Sum", *values), noop_with_empty_axes=1)
    return w.model({w.add("Softmax", untouched): [1, 7]}, [1, 3, SIDE, SIDE])
