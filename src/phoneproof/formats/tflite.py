"""Reading TFLite files: operators, tensors, names, metadata, precision.

The flatbuffer is read in place through the schema that ships with ai-edge-litert; nothing is
executed. Sizes are checked against the file's length before anything is looped over.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast, get_args

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from phoneproof.core.binding import DType, Precision, Quant
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.inventory import FileInventory, counted, dominant, ranked
from phoneproof.formats.model_file import require_model_file
from phoneproof.formats.tflite_options import NO_OPTIONS, OpOptions, read_options


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelQuant:
    """Quantization with a scale and a zero point for each index along `axis`."""

    axis: int
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TfliteTensor:
    """One tensor. `data`: the bytes of a constant, empty for a computed one.

    quant: of the whole tensor; channel_quant: of each channel. open_shape: the shape with -1 on
    axes that may be resized, empty where none may. sparse: the constant is stored sparsely.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    quant: Quant | None
    data: NDArray[np.uint8]
    channel_quant: ChannelQuant | None = None
    open_shape: tuple[int, ...] = ()
    sparse: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TfliteOp:
    """One operator; `custom` where it is not one of the format's own. -1: no tensor."""

    name: str
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: OpOptions = NO_OPTIONS


@dataclass(frozen=True, kw_only=True, slots=True)
class TfliteGraph:
    """The main subgraph, with what the file says about itself.

    inputs, outputs: tensor indices. signature: for the first signature (name, tensor index) of
    inputs and outputs. metadata: name -> bytes. other_ops: operators of further subgraphs.
    """

    tensors: tuple[TfliteTensor, ...]
    ops: tuple[TfliteOp, ...]
    other_ops: tuple[TfliteOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    signature_inputs: tuple[tuple[str, int], ...]
    signature_outputs: tuple[tuple[str, int], ...]
    description: str
    metadata: dict[str, bytes]


def _enum_names(enum: type) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


_OPERATORS: Final = _enum_names(schema.BuiltinOperator)
_TYPES: Final = {value: name.lower() for value, name in _enum_names(schema.TensorType).items()}
_PLACEHOLDER_OPERATOR: Final = 127  # the 8-bit field's way of saying "see the 32-bit field"


def read_tflite(path: Path) -> TfliteGraph:
    """Read a TFLite file.

    Raises:
        InvalidInput: not a TFLite file, truncated or inconsistent.
    """
    require_model_file(path, "TFLite model")
    return parse_tflite(path.read_bytes(), path.name)


def parse_tflite(data: bytes, name: str) -> TfliteGraph:
    """Read a TFLite model from memory; `name` is for messages.

    Raises:
        InvalidInput: not a TFLite file, truncated or inconsistent.
    """
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise InvalidInput(f"{name} is not a TFLite model", found="no TFL3 identifier at byte 4")
    try:
        return _Reader(data).graph()
    except (struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{name} is a damaged TFLite model", found=str(error)) from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = np.frombuffer(data, np.uint8)
        self._size = len(data)
        self._left = len(data)
        self._model = schema.Model.GetRootAs(data, 0)

    def _items(self, length: int, item: Callable[[int], Any]) -> list[Any]:
        self._take(length)
        return [item(index) for index in range(length)]

    def _numbers(self, values: object) -> tuple[Any, ...]:
        """Of a vector, all at once: quantized files have a scale and a zero point a channel."""
        if not isinstance(values, np.ndarray):
            return ()  # absent vectors read as 0
        self._take(len(values))
        return tuple(values.tolist())

    def _text(self, value: bytes | None) -> str:
        self._take(len(value or b""))
        return _text(value)

    def _take(self, count: int) -> None:
        """One budget for the whole file: many tables may share one list, whose items are then
        read once for each. No honest file has more items and characters than bytes.
        """
        self._left -= count
        if count < 0 or self._left < 0:
            raise ValueError(f"lists of more items than the file's {self._size} bytes can hold")

    def graph(self) -> TfliteGraph:
        model = self._model
        subgraphs = self._items(model.SubgraphsLength(), model.Subgraphs)
        main = subgraphs[0]
        ins, outs = self._signature()
        graph = TfliteGraph(
            tensors=tuple(self._tensor(t) for t in self._items(main.TensorsLength(), main.Tensors)),
            ops=self._ops(main),
            other_ops=tuple(op for graph in subgraphs[1:] for op in self._ops(graph)),
            inputs=self._numbers(main.InputsAsNumpy()),
            outputs=self._numbers(main.OutputsAsNumpy()),
            signature_inputs=ins,
            signature_outputs=outs,
            description=self._text(model.Description()),
            metadata=self._metadata(),
        )
        _require_known_tensors(graph)
        return graph

    def _ops(self, graph: Any) -> tuple[TfliteOp, ...]:
        ops = self._items(graph.OperatorsLength(), graph.Operators)
        return tuple(self._op(op) for op in ops)

    def _op(self, op: Any) -> TfliteOp:
        code = self._model.OperatorCodes(op.OpcodeIndex())
        builtin = code.BuiltinCode()
        if not builtin and code.DeprecatedBuiltinCode() != _PLACEHOLDER_OPERATOR:
            builtin = code.DeprecatedBuiltinCode()
        options = read_options(op)
        lists = [value for _, value in options.fields if isinstance(value, tuple)]
        self._take(len(options.custom) + sum(map(len, lists)))
        custom = builtin == schema.BuiltinOperator.CUSTOM
        return TfliteOp(
            name=self._text(code.CustomCode()) if custom else _OPERATORS[builtin],
            custom=custom,
            inputs=self._numbers(op.InputsAsNumpy()),
            outputs=self._numbers(op.OutputsAsNumpy()),
            options=options,
        )

    def _tensor(self, tensor: Any) -> TfliteTensor:
        quant, channel_quant = self._quantization(tensor.Quantization())
        return TfliteTensor(
            name=self._text(tensor.Name()),
            dtype=_TYPES[tensor.Type()],
            shape=self._numbers(tensor.ShapeAsNumpy()),
            quant=quant,
            data=self._buffer(tensor.Buffer()),
            channel_quant=channel_quant,
            open_shape=self._numbers(tensor.ShapeSignatureAsNumpy()),
            sparse=tensor.Sparsity() is not None,
        )

    def _quantization(self, quant: Any) -> tuple[Quant | None, ChannelQuant | None]:
        if quant is None or not quant.ScaleLength():
            return None, None
        scales = self._numbers(quant.ScaleAsNumpy())
        zeros = self._numbers(quant.ZeroPointAsNumpy()) or (0,) * len(scales)
        if len(zeros) != len(scales):
            raise ValueError(f"{len(scales)} scales and {len(zeros)} zero points")
        if len(scales) == 1:
            return Quant(scale=scales[0], zero_point=zeros[0]), None
        axis = quant.QuantizedDimension()
        return None, ChannelQuant(axis=axis, scales=scales, zero_points=zeros)

    def _buffer(self, index: int) -> NDArray[np.uint8]:
        buffer = self._model.Buffers(index)
        if buffer.Offset() > 1:  # large files keep weights behind the flatbuffer
            end = buffer.Offset() + buffer.Size()
            if end > self._size:  # both are unsigned, so nothing lies before the file
                raise ValueError(f"weights up to byte {end} in a file of {self._size} bytes")
            return self._data[buffer.Offset() : end]
        data = buffer.DataAsNumpy()
        return data if isinstance(data, np.ndarray) else np.zeros(0, np.uint8)

    def _signature(self) -> tuple[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]]:
        if not self._model.SignatureDefsLength():
            return (), ()
        signature = self._model.SignatureDefs(0)
        ins = self._items(signature.InputsLength(), signature.Inputs)
        outs = self._items(signature.OutputsLength(), signature.Outputs)
        return (
            tuple((self._text(item.Name()), item.TensorIndex()) for item in ins),
            tuple((self._text(item.Name()), item.TensorIndex()) for item in outs),
        )

    def _metadata(self) -> dict[str, bytes]:
        entries = self._items(self._model.MetadataLength(), self._model.Metadata)
        found: dict[str, bytes] = {}
        for entry in entries:
            data = self._buffer(entry.Buffer())
            self._take(data.size)
            found[self._text(entry.Name())] = data.tobytes()
        return found


def _require_known_tensors(graph: TfliteGraph) -> None:
    named = graph.signature_inputs + graph.signature_outputs
    used = {index for op in graph.ops for index in op.inputs + op.outputs if index != -1}
    used |= {*graph.inputs, *graph.outputs, *(index for _, index in named)}
    unknown = [index for index in used if not 0 <= index < len(graph.tensors)]
    if unknown:
        raise ValueError(f"tensor {unknown[0]} of {len(graph.tensors)}")


def _text(value: bytes | None) -> str:
    return value.decode("utf-8", "replace") if value else ""


def tflite_tensors(
    graph: TfliteGraph,
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs, by their signature's names and in its order where there is one.

    Raises:
        Unsupported: a dtype that no binding can carry.
    """
    ins = graph.signature_inputs or _named(graph, graph.inputs)
    outs = graph.signature_outputs or _named(graph, graph.outputs)
    return (
        tuple(tensor_spec(name, graph.tensors[index]) for name, index in ins),
        tuple(tensor_spec(name, graph.tensors[index]) for name, index in outs),
    )


def _named(graph: TfliteGraph, indices: tuple[int, ...]) -> tuple[tuple[str, int], ...]:
    return tuple((graph.tensors[index].name, index) for index in indices)


def tensor_spec(name: str, tensor: TfliteTensor) -> TensorSpec:
    """A tensor as bindings know it.

    Raises:
        Unsupported: a dtype that no binding can carry.
    """
    if tensor.dtype not in get_args(DType):
        raise Unsupported(f"tensor {name!r} has a type that is not handled", found=tensor.dtype)
    dtype = cast(DType, tensor.dtype)
    return TensorSpec(name=name, shape=tensor.shape, dtype=dtype, quant=tensor.quant)


def weight_sums(graph: TfliteGraph) -> dict[str, float]:
    """Name -> sum over the elements of each float constant (NaN as soon as one is NaN)."""
    return {
        tensor.name: float(np.sum(tensor.data.view(tensor.dtype), dtype=np.float64))
        for tensor in graph.tensors
        if tensor.data.size and tensor.dtype in ("float16", "float32", "float64")
    }


def inventory(graph: TfliteGraph) -> FileInventory:
    """Count operators and weights and read the precision."""
    ops = graph.ops + graph.other_ops
    sizes: Counter[str] = Counter()
    for tensor in graph.tensors:
        if tensor.data.size:
            sizes[tensor.dtype] += tensor.data.size
    return FileInventory(
        ops=counted(op.name for op in ops),
        custom_ops=tuple(sorted({op.name for op in ops if op.custom})),
        weights_bytes=ranked(sizes),
        precision=_precision(graph),
    )


def read_inventory(path: Path) -> FileInventory:
    """`inventory` of a file; errors as `read_tflite`."""
    return inventory(read_tflite(path))


WEIGHTS_AT: Final = {
    "CONV_2D": 1,
    "DEPTHWISE_CONV_2D": 1,
    "FULLY_CONNECTED": 1,
    "TRANSPOSE_CONV": 1,
    "BATCH_MATMUL": 1,
    "EMBEDDING_LOOKUP": 1,
}
"""Which input holds an operator's weights (https://ai.google.dev/edge/litert/models/ops)."""

_KINDS: Final[dict[tuple[str, bool, str], Precision]] = {
    ("float32", False, "float32"): "float32",
    ("float16", True, "float32"): "float16",
    ("float16", False, "float16"): "float16",
    ("int8", False, "float32"): "dynamic_wi8",
    ("int8", True, "float32"): "weight_only_wi8",
    ("int4", True, "float32"): "weight_only_wi4",
    ("int8", False, "int8"): "static_wi8_ai8",
    ("uint8", False, "uint8"): "static_wi8_ai8",
    ("int8", False, "int16"): "static_wi8_ai16",
}
"""(dtype of the weights, expanded by DEQUANTIZE, dtype of the operator's output)."""


def _precision(graph: TfliteGraph) -> Precision:
    expanded = {op.outputs[0]: op.inputs[0] for op in graph.ops if op.name == "DEQUANTIZE"}
    kinds: list[tuple[Precision, int]] = []
    for op in graph.ops:
        at = WEIGHTS_AT.get(op.name)
        if at is None or at >= len(op.inputs):
            continue
        index = op.inputs[at]
        weights = graph.tensors[expanded.get(index, index)]
        if weights.data.size:
            key = weights.dtype, index in expanded, graph.tensors[op.outputs[0]].dtype
            kinds.append((_KINDS.get(key, "mixed"), weights.data.size))
    return dominant(kinds) or _without_weights(graph)


def _without_weights(graph: TfliteGraph) -> Precision:
    types = {graph.tensors[index].dtype for op in graph.ops for index in op.outputs if index >= 0}
    if types & {"int8", "uint8"}:
        return "mixed" if "float32" in types else "static_wi8_ai8"
    return "float16" if "float16" in types and "float32" not in types else "float32"
