"""ONNX Resize nodes whose sample positions PyTorch lacks, written as products with their weights.

`torch.nn.functional.interpolate` samples linearly at half-pixel centres or with aligned corners,
and takes nearest neighbours at ``floor(x * in / out)``. onnx2torch imports every other coordinate
transformation as one of those, with no more than a Python warning: TensorFlow 1's
``resize_bilinear`` (asymmetric) then gives wrong values of a plausible size. A linear or nearest
resize with static shapes is a linear map of each axis, so such a node becomes two matrix products
with constant interpolation weights.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

_KNOWN_TO_TORCH = {
    "linear": ("half_pixel", "pytorch_half_pixel", "align_corners"),
    "nearest": ("asymmetric",),
}
_POSITIONS = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
_ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")


def replace_foreign_resizes(model: ModelProto) -> None:
    """Replace linear and nearest Resize nodes over images that PyTorch would sample elsewhere.

    Args:
        model: shapes inferred and static; it is changed. Nodes with other features (cubic,
            antialias, regions) stay as they are.
    """
    shapes = {value.name: _dims(value) for value in _values(model)}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        weights = _weights(node, shapes, constants) if node.op_type == "Resize" else None
        if weights is None:
            nodes.append(node)
            continue
        rows, columns = weights
        stem = f"{node.output[0]}_weights"
        for part, matrix in (("rows", rows), ("columns", columns.T)):
            tensor = numpy_helper.from_array(np.ascontiguousarray(matrix), f"{stem}_{part}")
            model.graph.initializer.append(tensor)
        middle = f"{node.output[0]}_rows"
        nodes += [
            _product(f"{node.name}/rows", [f"{stem}_rows", node.input[0]], middle),
            _product(f"{node.name}/columns", [middle, f"{stem}_columns"], node.output[0]),
        ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def axis_weights(
    before: int, after: int, scale: float, *, mode: str, position: str, rounding: str
) -> NDArray[np.float32]:
    """Interpolation weights of one axis, [after, before], as the ONNX operator defines them.

    Args:
        scale: after / before as the node states it; it need not be that quotient exactly.
        mode: linear or nearest. position: coordinate_transformation_mode. rounding: nearest_mode.
    """
    weights = np.zeros((after, before), np.float32)
    for index in range(after):
        at = _source(index, before, after, scale, position)
        if mode == "nearest":
            weights[index, min(max(_rounded(at, rounding), 0), before - 1)] = 1.0
            continue
        low = math.floor(at)
        share = at - low
        weights[index, min(max(low, 0), before - 1)] += 1.0 - share
        weights[index, min(max(low + 1, 0), before - 1)] += share
    return weights


def _source(index: int, before: int, after: int, scale: float, position: str) -> float:
    """In float32 as ONNX Runtime computes it: at a tie the last bit decides the neighbour."""
    if position == "align_corners":
        return index * (before - 1) / (after - 1) if after > 1 else 0.0
    if position == "pytorch_half_pixel" and after <= 1:
        return 0.0
    if position == "asymmetric":
        return float(np.float32(index) / np.float32(scale))
    half = np.float32(0.5)
    return float((np.float32(index) + half) / np.float32(scale) - half)


def _rounded(at: float, rounding: str) -> int:
    if rounding == "floor":
        return math.floor(at)
    if rounding == "ceil":
        return math.ceil(at)
    if rounding == "round_prefer_floor":
        return math.ceil(at - 0.5)
    return math.floor(at + 0.5)


def _weights(
    node: NodeProto,
    shapes: dict[str, tuple[int, ...]],
    constants: dict[str, onnx.TensorProto],
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Weights of the two image axes; None where torch's own resize is right, or nothing is."""
    read = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    mode = _text(read.get("mode", b"nearest"))
    position = _text(read.get("coordinate_transformation_mode", b"half_pixel"))
    rounding = _text(read.get("nearest_mode", b"round_prefer_floor"))
    if mode not in _KNOWN_TO_TORCH or position not in _POSITIONS or rounding not in _ROUNDINGS:
        return None
    if read.get("antialias") or read.get("exclude_outside") or read.get("axes"):
        return None
    before, after = shapes.get(node.input[0], ()), shapes.get(node.output[0], ())
    if len(before) != 4 or len(after) != 4 or not all((*before, *after)):
        return None
    if before[:2] != after[:2]:
        return None
    if _torch_is_right(mode, position, rounding):
        return None
    scales = _scales(node, before, after, constants)
    rows, columns = (
        axis_weights(
            before[axis], after[axis], scales[axis], mode=mode, position=position, rounding=rounding
        )
        for axis in (2, 3)
    )
    return rows, columns


def _torch_is_right(mode: str, position: str, rounding: str) -> bool:
    if position not in _KNOWN_TO_TORCH[mode]:
        return False
    return mode != "nearest" or rounding == "floor"


def _scales(
    node: NodeProto,
    before: tuple[int, ...],
    after: tuple[int, ...],
    constants: dict[str, onnx.TensorProto],
) -> list[float]:
    """The scales the node states (its third input), or the quotients of the sizes."""
    name = node.input[2] if len(node.input) > 2 else ""
    if name in constants:
        stated = numpy_helper.to_array(constants[name])
        if stated.size == len(before):
            return [float(scale) for scale in stated]
    return [new / old for old, new in zip(before, after, strict=True)]


def _product(name: str, inputs: list[str], output: str) -> NodeProto:
    return helper.make_node("MatMul", inputs, [output], name=name)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _values(model: ModelProto) -> list[onnx.ValueInfoProto]:
    return [*model.graph.input, *model.graph.value_info, *model.graph.output]


def _dims(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(int(d.dim_value) for d in value.type.tensor_type.shape.dim)
