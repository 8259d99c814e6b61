"""What an ONNX file really computes in, read from its graph: quantized models say it with
QuantizeLinear and DequantizeLinear around operators, or with integer operators."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import onnx
from onnx.numpy_helper import to_array

from phoneproof.core.errors import InvalidInput, first_line
from phoneproof.core.optimization import ReadBack
from phoneproof.formats.inventory import ranked
from phoneproof.formats.onnx_file import dtype_name, read_onnx
from phoneproof.formats.onnx_precision import WEIGHTS_AT
from phoneproof.formats.shares import Tally, zeros_in

_CONVERSIONS: Final = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast")
"""They change how a number is written, and compute nothing."""
_INTEGERS: Final = {"int8": "int8", "uint8": "int8", "int16": "int16", "uint16": "int16"}
_ACTIVATIONS: Final = ("Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSwish", "Tanh")


def onnx_contents(path: Path) -> ReadBack:
    """What an ONNX file holds, by the types of `tflite_contents`; nothing is compressed.

    fused: activations that follow a convolution alone and that runtimes merge with it. macs: 0
    where the file leaves sizes other than the batch open, so that nobody can count.

    Raises:
        InvalidInput: not an ONNX model, or its shapes contradict each other.
    """
    model = read_onnx(path)
    reader = _Reader(_inferred(model, path.name).graph)
    tally = Tally()
    for node in reader.graph.node:
        if node.op_type not in (*_CONVERSIONS, "Constant"):
            kind = reader.arithmetic(node)
            tally.ops[kind] += 1
            tally.macs[kind] += 0 if reader.open_sizes else reader.macs(node)
            for name in node.input:
                reader.claim(name, kind)
    for kind, size in reader.weights():
        tally.weights[kind] += size
    return tally.read_back(fused=reader.fused(), zeros=zero_share(model))


def zero_share(model: onnx.ModelProto) -> float | None:
    """The share (0..1) of the layers' float32 weights that is zero; null where there are none, or
    where they lie in other files."""
    known = {tensor.name: tensor for tensor in model.graph.initializer}
    names = dict.fromkeys(
        node.input[at]
        for node in model.graph.node
        if (at := WEIGHTS_AT.get(node.op_type)) is not None and at < len(node.input)
    )
    return zeros_in(
        to_array(one)
        for name in names
        if (one := known.get(name)) is not None
        and one.data_type == one.FLOAT
        and one.data_location != one.EXTERNAL
    )


def _inferred(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # C++ exceptions of several kinds
        raise InvalidInput(
            f"the shapes in {name} contradict each other", found=first_line(error)
        ) from error


class _Reader:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                self._constants[node.output[0]] = node.attribute[0].t
        self._makers = {name: node for node in graph.node for name in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        values = (*graph.input, *graph.output, *graph.value_info)
        self._values = {value.name: value.type.tensor_type for value in values}
        self._claimed: dict[str, str] = {}
        self.open_sizes = any(
            not dim.HasField("dim_value")
            for node in graph.node
            if node.op_type in WEIGHTS_AT and (value := self._values.get(node.output[0]))
            for dim in value.shape.dim[1:]
        )

    def claim(self, name: str, kind: str) -> None:
        """A constant counts for the first operator that reads it, through conversions."""
        stored = self._stored(name)
        if stored in self._constants:
            self._claimed.setdefault(stored, kind)

    def weights(self) -> Iterator[tuple[str, int]]:
        """(type it is used in, bytes) of each constant; scales and zero points are none."""
        for name, tensor in self._constants.items():
            if self._only_scales(name):
                continue
            yield self._claimed.get(name, dtype_name(tensor.data_type)), _bytes(tensor)

    def _only_scales(self, name: str) -> bool:
        readers = self._readers.get(name, [])
        return bool(readers) and all(
            node.op_type in _CONVERSIONS and node.input[0] != name for node in readers
        )

    def arithmetic(self, node: onnx.NodeProto) -> str:
        """As `phoneproof.formats.tflite_read_back` says it."""
        if node.op_type.startswith("QLinear"):
            return "int8"
        if node.op_type in ("ConvInteger", "MatMulInteger"):
            return "int8 weights"
        quantized = self._between_conversions(node)
        if quantized is not None:
            return quantized
        weights = self._weight_type(node)
        if weights in ("int8", "uint8", "int4", "uint4"):
            return f"{weights.removeprefix('u')} weights"
        return weights or self._type(node.output[0] if node.output else "")

    def _between_conversions(self, node: onnx.NodeProto) -> str | None:
        """The integer type of an operator that stands between DequantizeLinear and
        QuantizeLinear, which runtimes turn into an integer operator; null for others."""
        read = [
            self._makers[name]
            for name in node.input
            if name in self._makers and self._stored(name) not in self._constants
        ]
        written = [reader for name in node.output for reader in self._readers.get(name, [])]
        if not read or not written:
            return None
        if any(maker.op_type != "DequantizeLinear" for maker in read):
            return None
        if any(reader.op_type != "QuantizeLinear" for reader in written):
            return None
        if self._weight_type(node) in ("float32", "float16"):
            return None
        kinds = {self._type(name) for reader in written for name in reader.output}
        return max((_INTEGERS.get(kind, kind) for kind in kinds), key=len)

    def _weight_type(self, node: onnx.NodeProto) -> str | None:
        at = WEIGHTS_AT.get(node.op_type)
        if at is None or at >= len(node.input):
            return None
        tensor = self._constants.get(self._stored(node.input[at]))
        return None if tensor is None else dtype_name(tensor.data_type)

    def _stored(self, name: str) -> str:
        """The constant behind conversions; the name itself where there is none."""
        seen = name
        while seen in self._makers and self._makers[seen].op_type in (*_CONVERSIONS, "Identity"):
            seen = self._makers[seen].input[0]
        return seen if seen in self._constants else name

    def _type(self, name: str) -> str:
        if name in self._constants:
            return dtype_name(self._constants[name].data_type)
        value = self._values.get(name)
        return "float32" if value is None or not value.elem_type else dtype_name(value.elem_type)

    def _shape(self, name: str) -> tuple[int, ...]:
        """An open batch counts as one."""
        if name in self._constants:
            return tuple(self._constants[name].dims)
        stored = self._stored(name)
        if stored in self._constants:
            return tuple(self._constants[stored].dims)
        value = self._values.get(name)
        return tuple(max(dim.dim_value, 1) for dim in value.shape.dim) if value else ()

    def macs(self, node: onnx.NodeProto) -> int:
        """Multiply-accumulates; filters are [out, in / groups, ...], transposed ones
        [in, out / groups, ...]."""
        at = WEIGHTS_AT.get(node.op_type)
        if at is None or at >= len(node.input) or not node.output:
            return 0
        weights = self._shape(node.input[at])
        made = math.prod(self._shape(node.output[0]))
        if node.op_type == "ConvTranspose":
            return math.prod(self._shape(node.input[0])) * math.prod(weights[1:])
        if "Conv" in node.op_type:
            return made * math.prod(weights[1:])
        left = self._shape(node.input[0])
        if not left:
            return 0
        turned = any(a.name == "transA" and a.i for a in node.attribute)
        return made * (left[0] if turned else left[-1])

    def fused(self) -> tuple[tuple[str, int], ...]:
        """("Relu after Conv", how often)."""
        found: Counter[str] = Counter()
        for node in self.graph.node:
            if node.op_type not in _ACTIVATIONS:
                continue
            maker = self._makers.get(node.input[0])
            if maker is None or maker.op_type not in WEIGHTS_AT:
                continue
            if len(self._readers.get(maker.output[0], [])) == 1:
                found[f"{node.op_type} after {maker.op_type}"] += 1
        return ranked(found)


def _bytes(tensor: onnx.TensorProto) -> int:
    name = dtype_name(tensor.data_type)
    if name in ("int4", "uint4"):
        return (math.prod(map(int, tensor.dims)) + 1) // 2
    size = int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    return math.prod(map(int, tensor.dims)) * size
