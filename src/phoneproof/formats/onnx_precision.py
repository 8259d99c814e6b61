"""The precision of an ONNX file, read from its operators and their weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto

from phoneproof.core.binding import Precision
from phoneproof.formats.inventory import dominant

WEIGHTS_AT: Final[Mapping[str, int]] = {
    "Conv": 1,
    "ConvTranspose": 1,
    "Gemm": 1,
    "MatMul": 1,
    "ConvInteger": 1,
    "MatMulInteger": 1,
    "QLinearConv": 3,
    "QLinearMatMul": 3,
}
"""Operators that carry nearly all weights of a network -> the input that holds them
(https://onnx.ai/onnx/operators)."""

_BY_OPERATOR: Final[Mapping[str, Precision]] = {
    "ConvInteger": "dynamic_wi8",
    "MatMulInteger": "dynamic_wi8",
    "QLinearConv": "static_wi8_ai8",
    "QLinearMatMul": "static_wi8_ai8",
}
_FLOATS: Final[Mapping[int, Precision]] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
}
_BYTES: Final = (TensorProto.INT8, TensorProto.UINT8)
_NIBBLES: Final = (TensorProto.INT4, TensorProto.UINT4)
_WORDS: Final = (TensorProto.INT16, TensorProto.UINT16)


def onnx_precision(
    nodes: Iterable[onnx.NodeProto], constants: Iterable[onnx.TensorProto]
) -> Precision:
    """What nearly all weight bytes are computed with; ``mixed`` where there is no such thing.

    Weights are those of convolutions and products of matrices, also behind a Cast or a
    DequantizeLinear; scales and biases are not. A file without any is judged by its float
    constants, and is float32 where it has none.

    Args:
        nodes, constants: of the graph and its subgraphs.
    """
    graph = _Graph(nodes, constants)
    found = [
        (precision, tensor_bytes(tensor))
        for node in graph.nodes
        for precision, tensor in graph.weights(node)
    ]
    floats = [
        (_FLOATS[one.data_type], tensor_bytes(one))
        for one in graph.constants.values()
        if one.data_type in _FLOATS
    ]
    return dominant(found) or dominant(floats) or "float32"


def tensor_bytes(tensor: onnx.TensorProto) -> int:
    """Size of a tensor's values; two of 4 bits share a byte."""
    count = int(np.prod(tensor.dims, dtype=np.int64))
    if tensor.data_type in _NIBBLES:
        return -(-count // 2)
    return count * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize


class _Graph:
    def __init__(
        self, nodes: Iterable[onnx.NodeProto], constants: Iterable[onnx.TensorProto]
    ) -> None:
        self.nodes = list(nodes)
        self.constants = {tensor.name: tensor for tensor in constants}
        self._makers = {name: node for node in self.nodes for name in node.output}
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                self.constants[node.output[0]] = node.attribute[0].t

    def weights(self, node: onnx.NodeProto) -> Iterator[tuple[Precision, onnx.TensorProto]]:
        """The constant weights of a node and what it computes with; nothing for other nodes."""
        index = WEIGHTS_AT.get(node.op_type, len(node.input))
        if index >= len(node.input):
            return
        name, maker = node.input[index], self._makers.get(node.input[index])
        if maker is not None and maker.op_type in ("Cast", "DequantizeLinear"):
            name = maker.input[0]
        tensor = self.constants.get(name)
        if tensor is None:
            return
        precision = self._precision(node, tensor.data_type)
        if precision is not None:
            yield precision, tensor

    def _precision(self, node: onnx.NodeProto, kind: int) -> Precision | None:
        if kind in _FLOATS:
            return _FLOATS[kind]
        if node.op_type in _BY_OPERATOR:
            return _BY_OPERATOR[node.op_type]
        activation = self._activation(node.input[0])
        if kind in _BYTES and activation in _BYTES:
            return "static_wi8_ai8"
        if kind in _BYTES and activation in _WORDS:
            return "static_wi8_ai16"
        if kind in _BYTES:
            return "weight_only_wi8"
        return "weight_only_wi4" if kind in _NIBBLES else None

    def _activation(self, name: str) -> int:
        """The integer type that a layer's input was rounded to; FLOAT where it was not."""
        back = self._makers.get(name)
        if back is None or back.op_type != "DequantizeLinear":
            return int(TensorProto.FLOAT)
        zero = self.constants.get(back.input[2]) if len(back.input) > 2 else None
        return zero.data_type if zero is not None else int(TensorProto.UINT8)
