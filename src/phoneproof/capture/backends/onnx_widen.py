"""ONNX files that hold less than float32, as the float32 graph they stand for.

Everything works on the caller's in-memory copy; no file is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper
from onnx import numpy_helper as arrays

from phoneproof.core.errors import Unsupported

_HALF = TensorProto.FLOAT16
_PAIR = ("QuantizeLinear", "DequantizeLinear")
_INTEGER_OPERATORS = frozenset(
    {
        "ConvInteger",
        "DynamicQuantizeLinear",
        "MatMulInteger",
        "QAttention",
        "QGemm",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearConv",
        "QLinearGlobalAveragePool",
        "QLinearLeakyRelu",
        "QLinearMatMul",
        "QLinearMul",
        "QLinearSigmoid",
        "QLinearSoftmax",
    }
)
_NEVER_NEGATIVE = ("Relu", "Sigmoid", "Softmax", "Abs", "Exp", "HardSigmoid", "Softplus")
_KEEPING_SIGN = (
    "AveragePool",
    "Flatten",
    "GlobalAveragePool",
    "Identity",
    "MaxPool",
    "Reshape",
    "Slice",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)
_MAX_STEPS = 64


def is_half(model: ModelProto) -> bool:
    """Whether the graph holds or makes float16 tensors."""
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info)
    return (
        any(value.type.tensor_type.elem_type == _HALF for value in values)
        or any(tensor.data_type == _HALF for tensor in graph.initializer)
        or any(_casts_to_half(node) for node in graph.node)
    )


def is_quantised(model: ModelProto) -> bool:
    """Whether the graph computes with integers."""
    return any(n.op_type in _PAIR or n.op_type in _INTEGER_OPERATORS for n in model.graph.node)


def widen_half(model: ModelProto) -> None:
    """Make every float16 tensor float32, values unchanged; subgraphs included."""
    _widen_graph(model.graph)


def dequantise(model: ModelProto) -> None:
    """Take rounding out of a graph: weights become what they stand for, activations stay float.

    A pair of QuantizeLinear and DequantizeLinear also saturates. Quantisers rely on it: they leave
    a ReLU out where the pair's range begins at 0. There the pair becomes that clip.

    Raises:
        Unsupported: operators that compute on integers themselves, or weights in blocks.
    """
    graph = model.graph
    used = sorted({n.op_type for n in graph.node if n.op_type in _INTEGER_OPERATORS})
    if used:
        raise Unsupported(
            "the ONNX graph computes with integers in operators of its own",
            found=", ".join(used),
            next_step="export it with QuantizeLinear and DequantizeLinear pairs (QDQ format), or "
            "start from the float model",
        )
    if any(node.op_type in _PAIR for node in graph.node):
        _Dequantiser(graph).run()


def _widen_graph(graph: GraphProto) -> None:
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == _HALF:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _widen_tensor(attribute.t)
            if attribute.HasField("g"):
                _widen_graph(attribute.g)
            if attribute.name in ("to", "dtype") and attribute.i == _HALF:
                attribute.i = TensorProto.FLOAT


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type == _HALF:
        values = arrays.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(arrays.from_array(values, tensor.name))


def _casts_to_half(node: NodeProto) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i == _HALF for a in node.attribute)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scale:
    """How integers stand for numbers: real = (q - zero) * step; both scalars or one per slice."""

    step: NDArray[np.float32]
    zero: NDArray[np.float32]
    smallest: float
    largest: float
    axis: int


class _Dequantiser:
    def __init__(self, graph: GraphProto) -> None:
        self._graph = graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                self._constants[node.output[0]] = node.attribute[0].t
        self._makers = {name: node for node in graph.node for name in node.output}

    def run(self) -> None:
        """Replace every node of a pair, in the order of the graph."""
        nodes = [made for node in self._graph.node for made in self._replaced(node)]
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        # What was said of the integer tensors between a pair is not so any more.
        del self._graph.value_info[:]

    def _replaced(self, node: NodeProto) -> Iterator[NodeProto]:
        if node.op_type == "DequantizeLinear" and node.input[0] in self._constants:
            values = self._real(node)
            self._graph.initializer.append(arrays.from_array(values, node.output[0]))
        elif node.op_type == "QuantizeLinear":
            yield self._clip(node)
        elif node.op_type == "DequantizeLinear":
            yield helper.make_node("Identity", [node.input[0]], [node.output[0]], node.name)
        else:
            yield node

    def _real(self, node: NodeProto) -> NDArray[np.float32]:
        values = arrays.to_array(self._constants[node.input[0]]).astype(np.float32)
        scale = self._scale(node)
        shape = [1] * values.ndim
        if scale.step.size > 1:
            shape[scale.axis] = -1
        step, zero = scale.step.reshape(shape), scale.zero.reshape(shape)
        real: NDArray[np.float32] = (values - zero) * step
        return real.reshape(values.shape)

    def _clip(self, node: NodeProto) -> NodeProto:
        """The pair's saturation where a quantiser may have folded a ReLU into it, else nothing."""
        scale = self._scale(node)
        if not self._folds_an_activation(node, scale):
            return helper.make_node("Identity", [node.input[0]], [node.output[0]], node.name)
        names = [f"{node.output[0]}_least", f"{node.output[0]}_most"]
        top = (scale.largest - float(scale.zero.reshape(-1)[0])) * float(scale.step.reshape(-1)[0])
        for name, value in zip(names, (0.0, top), strict=True):
            self._graph.initializer.append(arrays.from_array(np.array(value, np.float32), name))
        return helper.make_node("Clip", [node.input[0], *names], [node.output[0]], node.name)

    def _folds_an_activation(self, node: NodeProto, scale: _Scale) -> bool:
        if not _from_zero(scale):
            return False
        name = node.input[0]
        for _ in range(_MAX_STEPS):
            maker = self._makers.get(name)
            if maker is None or maker.op_type in _NEVER_NEGATIVE:
                return False  # the image itself, or nothing below 0
            if maker.op_type == "DequantizeLinear":
                before = self._makers.get(maker.input[0])
                return before is None or not _from_zero(self._scale(maker))
            if maker.op_type not in _KEEPING_SIGN:
                return True
            name = maker.input[0]
        return True

    def _scale(self, node: NodeProto) -> _Scale:
        attributes = {a.name: a for a in node.attribute}
        if _number(attributes, "block_size", 0):
            raise _not_handled(node, "weights quantised in blocks")
        step = self._array(node, 1)
        zero_tensor = self._constants.get(node.input[2]) if len(node.input) > 2 else None
        kind = zero_tensor.data_type if zero_tensor is not None else TensorProto.UINT8
        zero = np.zeros_like(step) if zero_tensor is None else self._array(node, 2)
        if kind not in _RANGES:
            raise _not_handled(node, f"integers of type {TensorProto.DataType.Name(kind)}")
        low, high = _RANGES[kind]
        axis = _number(attributes, "axis", 1)
        return _Scale(step=step, zero=zero, smallest=low, largest=high, axis=axis)

    def _array(self, node: NodeProto, index: int) -> NDArray[np.float32]:
        tensor = self._constants.get(node.input[index])
        if tensor is None:
            raise _not_handled(node, "a scale that is computed while it runs")
        return arrays.to_array(tensor).astype(np.float32)


def _from_zero(scale: _Scale) -> bool:
    """Whether 0 is the smallest value that the integers stand for."""
    return scale.zero.size == 1 and float(scale.zero.reshape(-1)[0]) == scale.smallest


_RANGES = {
    TensorProto.UINT8: (0.0, 255.0),
    TensorProto.INT8: (-128.0, 127.0),
    TensorProto.UINT16: (0.0, 65535.0),
    TensorProto.INT16: (-32768.0, 32767.0),
    TensorProto.UINT4: (0.0, 15.0),
    TensorProto.INT4: (-8.0, 7.0),
    TensorProto.INT32: (-(2.0**31), 2.0**31 - 1),
}


def _number(attributes: dict[str, AttributeProto], name: str, default: int) -> int:
    return int(attributes[name].i) if name in attributes else default


def _not_handled(node: NodeProto, what: str) -> Unsupported:
    return Unsupported(
        "the quantised ONNX graph cannot be turned back into a float one",
        found=f"{what} ({node.op_type} {node.name!r})",
        next_step="start from the float model",
    )
