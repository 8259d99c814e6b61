"""Writes little TFLite files with the format's schema: no TensorFlow, any operator, any fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

Array = NDArray[Any]

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "uint8": schema.TensorType.UINT8,
    "int8": schema.TensorType.INT8,
    "int16": schema.TensorType.INT16,
    "bool": schema.TensorType.BOOL,
}


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operator: indices of tensors, and the schema's options object."""

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any = None
    custom_options: bytes = b""


@dataclass(kw_only=True)
class TfliteFile:
    """A graph under construction; `add` and `const` give tensor indices."""

    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    nodes: list[Node] = field(default_factory=list)
    metadata: dict[str, bytes] = field(default_factory=dict)

    def add(
        self,
        shape: Sequence[int],
        dtype: str = "float32",
        *,
        quant: tuple[float, int] | None = None,
        buffer: int = 0,
        name: str = "",
    ) -> int:
        """A tensor; `quant` is (scale, zero point)."""
        tensor = schema.TensorT()
        tensor.shape = list(shape)
        tensor.type = _TYPES[dtype]
        tensor.buffer = buffer
        tensor.name = name or f"t{len(self.tensors)}"
        if quant is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [quant[0]]
            tensor.quantization.zeroPoint = [quant[1]]
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def const(self, values: Array, *, quant: tuple[float, int] | None = None) -> int:
        """A constant."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.buffers.append(buffer)
        number = len(self.buffers) - 1
        return self.add(values.shape, values.dtype.name, quant=quant, buffer=number)

    def per_channel(self, values: Array, scales: Array, axis: int) -> int:
        """A constant with a scale for each index along `axis`, zero points 0."""
        index = self.const(values, quant=(1.0, 0))
        quant = self.tensors[index].quantization
        quant.scale = scales.tolist()
        quant.zeroPoint = [0] * len(scales)
        quant.quantizedDimension = axis
        return index

    def node(
        self,
        op: str,
        inputs: Sequence[int],
        shape: Sequence[int] = (),
        dtype: str = "float32",
        *,
        options: Any = None,
        quant: tuple[float, int] | None = None,
    ) -> int:
        """An operator of one output; its tensor."""
        out = self.add(shape, dtype, quant=quant)
        self.nodes.append(Node(op=op, inputs=tuple(inputs), outputs=(out,), options=options))
        return out

    def pack(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file."""
        model = schema.ModelT()
        model.version = 3
        model.description = "test"
        model.buffers = list(self.buffers)
        model.operatorCodes = []
        codes: dict[str, int] = {}
        graph = schema.SubGraphT()
        graph.tensors, graph.inputs, graph.outputs = self.tensors, list(inputs), list(outputs)
        graph.operators = []
        for node in self.nodes:
            if node.op not in codes:
                codes[node.op] = len(codes)
                model.operatorCodes.append(_code(node.op))
            graph.operators.append(_operator(node, codes[node.op]))
        model.subgraphs = [graph]
        model.metadata = []
        for name, value in self.metadata.items():
            entry, buffer = schema.MetadataT(), schema.BufferT()
            buffer.data = np.frombuffer(value, np.uint8)
            entry.name, entry.buffer = name, len(model.buffers)
            model.buffers.append(buffer)
            model.metadata.append(entry)
        return packed(model)


def packed(model: Any) -> bytes:
    """A schema model as a file."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def unpacked(data: bytes) -> Any:
    """A file as a schema model, to be damaged."""
    return schema.ModelT.InitFromPackedBuf(bytearray(data), 0)


def _code(op: str) -> Any:
    code = schema.OperatorCodeT()
    builtin = getattr(schema.BuiltinOperator, op, None)
    code.version = 2 if op == "BROADCAST_TO" else 1  # LiteRT has no first version of it
    if builtin is None:
        code.builtinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = op
    else:
        code.builtinCode = builtin
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    return code


def _operator(node: Node, code: int) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = code
    operator.inputs, operator.outputs = list(node.inputs), list(node.outputs)
    if node.custom_options:
        operator.customOptions = np.frombuffer(node.custom_options, np.uint8)
    if node.options is not None:
        kind = type(node.options).__name__.removesuffix("T")
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        operator.builtinOptions = node.options
    return operator
