"""Which nodes of an ONNX file only come after everything that was learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from phoneproof.formats.onnx_file import read_onnx
from phoneproof.formats.onnx_precision import WEIGHTS_AT


def tail_layers(path: Path) -> tuple[str, ...]:
    """The nodes behind the last learned weights, by their first outputs, in the file's order.

    A convolution over 0, 1, 2 ... (the expectation of a distribution over bins) was not learned.

    Raises:
        InvalidInput: not an ONNX file.
    """
    graph = read_onnx(path).graph
    constants = {one.name: one for one in graph.initializer}
    before: set[str] = set()
    tail: list[str] = []
    for node in reversed(graph.node):
        if node.op_type == "Constant":
            continue
        if _is_learned(node, constants) or before.intersection(node.output):
            before.update(node.input)
        else:
            tail.append(node.output[0])
    return tuple(reversed(tail))


def _is_learned(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    at = WEIGHTS_AT.get(node.op_type)
    if at is None or at >= len(node.input):
        return False
    weights = constants.get(node.input[at])
    if weights is None:
        return False
    values = numpy_helper.to_array(weights).ravel()
    return not np.array_equal(values, np.arange(values.size))
