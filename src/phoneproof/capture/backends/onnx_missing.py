"""Common operators that onnx2torch does not know, written with ones that it does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper


def replace_missing(model: ModelProto) -> None:
    """Replace GlobalMaxPool and SpaceToDepth. Shapes are inferred and static; opset 13 to 17."""
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        shape = shapes.get(node.input[0], ()) if node.input else ()
        if node.op_type == "GlobalMaxPool" and len(shape) > 2:
            axes = list(range(2, len(shape)))
            nodes.append(
                helper.make_node(
                    "ReduceMax", [node.input[0]], [node.output[0]], node.name, axes=axes, keepdims=1
                )
            )
        elif node.op_type == "SpaceToDepth" and len(shape) == 4 and min(shape) > 0:
            nodes += _space_to_depth(model, node, shape)
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _space_to_depth(
    model: ModelProto, node: NodeProto, shape: tuple[int, ...]
) -> Iterator[NodeProto]:
    """Blocks become channels, ordered (row, column, channel) as the operator's definition says."""
    batch, channels, height, width = shape
    block = next(int(a.i) for a in node.attribute if a.name == "blocksize")
    rows, columns = height // block, width // block
    out = node.output[0]
    for name, sides in (
        (f"{out}_blocks", (batch, channels, rows, block, columns, block)),
        (f"{out}_depth", (batch, channels * block * block, rows, columns)),
    ):
        model.graph.initializer.append(numpy_helper.from_array(np.array(sides, np.int64), name))
    split, moved = f"{out}_split", f"{out}_moved"
    yield helper.make_node("Reshape", [node.input[0], f"{out}_blocks"], [split], f"{node.name}/in")
    perm = [0, 3, 5, 1, 2, 4]
    yield helper.make_node("Transpose", [split], [moved], f"{node.name}/move", perm=perm)
    yield helper.make_node("Reshape", [moved, f"{out}_depth"], [out], node.name)
