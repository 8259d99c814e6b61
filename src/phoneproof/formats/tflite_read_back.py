"""What a TFLite file really computes in: multiply-accumulates, and which share of operators,
weights and work is of which type. Read from shapes and types alone."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from phoneproof.core.optimization import ReadBack
from phoneproof.formats.inventory import ranked
from phoneproof.formats.shares import Tally, zeros_in
from phoneproof.formats.tflite import WEIGHTS_AT, TfliteGraph, TfliteOp, TfliteTensor, read_tflite
from phoneproof.formats.tflite_layers import layer_name

_CONVERSIONS: Final = ("QUANTIZE", "DEQUANTIZE")
"""They change how a number is written, and compute nothing."""

_ACTIVATIONS: Final = {
    value: name
    for name, value in vars(schema.ActivationFunctionType).items()
    if isinstance(value, int) and name != "NONE"
}
_EIGHT_BITS: Final = {"int8": "int8", "uint8": "int8"}


def tflite_contents(path: Path) -> ReadBack:
    """What a TFLite file holds; nothing is compressed.

    Shares are by the arithmetic of the operators (`arithmetic`); a constant counts for the
    operator that reads it. Conversions between types are not counted as operators, nor is what
    lies in further subgraphs (loops), whose runs nobody can count.

    Raises:
        InvalidInput: not a TFLite file, truncated or inconsistent.
    """
    graph = read_tflite(path)
    reader = _Reader(graph)
    tally = Tally()
    for op, kind in zip(graph.ops, reader.kinds, strict=True):
        if op.name not in _CONVERSIONS:
            tally.ops[kind] += 1
        if macs := op_macs(graph, op):
            tally.macs[kind] += macs
    for index, tensor in enumerate(graph.tensors):
        if tensor.data.size:
            tally.weights[reader.kind_of_constant(index)] += tensor.data.size
    return tally.read_back(fused=fused_activations(graph), zeros=zero_share(graph))


def float_weights(graph: TfliteGraph) -> tuple[TfliteTensor, ...]:
    """The float32 weights of the layers, each tensor once, in the file's order; no biases."""
    places = [
        op.inputs[at]
        for op in graph.ops
        if (at := WEIGHTS_AT.get(op.name)) is not None and at < len(op.inputs)
    ]
    tensors = [graph.tensors[index] for index in dict.fromkeys(places) if index >= 0]
    return tuple(
        one for one in tensors if one.dtype == "float32" and one.data.size and not one.sparse
    )


def zero_share(graph: TfliteGraph) -> float | None:
    """The share (0..1) of the float32 weights that is zero; null where there are none."""
    return zeros_in(one.data.view(np.float32) for one in float_weights(graph))


def layer_macs(graph: TfliteGraph) -> dict[str, int]:
    """Layer (name of its first output) -> multiply-accumulates of one inference, batch included.

    Convolutions, transposed and depthwise ones, fully connected layers and matrix products;
    other layers are not in it.
    """
    found: dict[str, int] = {}
    for op in graph.ops:
        macs = op_macs(graph, op)
        if macs:
            found[layer_name(graph, op)] = macs
    return found


def op_macs(graph: TfliteGraph, op: TfliteOp) -> int:
    """Multiply-accumulates of one operator, from shapes (padding counts as pixels do); 0 for
    operators that are no sums of products.

    Filters are [out, height, width, in / groups]; depthwise [1, height, width, out]; fully
    connected [out, in] (https://ai.google.dev/edge/litert/models/quantization_spec).
    """
    at = WEIGHTS_AT.get(op.name)
    if at is None or at >= len(op.inputs) or not op.outputs:
        return 0
    weights = _sides(graph, op.inputs[at])
    made = math.prod(_sides(graph, op.outputs[0]))
    if op.name == "BATCH_MATMUL":
        left = _sides(graph, op.inputs[0])
        if len(left) < 2:
            return 0
        return made * left[-2 if op.options.flag("adjX") else -1]
    if op.name == "FULLY_CONNECTED":
        return made * weights[-1] if weights else 0
    if len(weights) != 4 or op.name == "EMBEDDING_LOOKUP":
        return 0
    height, width = weights[1:3]
    if op.name == "DEPTHWISE_CONV_2D":
        return made * height * width
    if op.name == "TRANSPOSE_CONV":
        return math.prod(_sides(graph, op.inputs[2])) * weights[0] * height * width
    return made * height * width * weights[3]


def fused_activations(graph: TfliteGraph) -> tuple[tuple[str, int], ...]:
    """("RELU6 in CONV_2D", how often): activations that an operator applies by itself."""
    found: Counter[str] = Counter()
    for op in graph.ops:
        name = _ACTIVATIONS.get(op.options.number("fusedActivationFunction"))
        if name is not None:
            found[f"{name} in {op.name}"] += 1
    return ranked(found)


def _sides(graph: TfliteGraph, index: int) -> tuple[int, ...]:
    """The shape of a tensor; sides that are open count as one."""
    shape = graph.tensors[index].shape if index >= 0 else ()
    return tuple(max(side, 1) for side in shape)


class _Reader:
    """Types of operators and constants. `kinds`: of each operator, in the file's order."""

    def __init__(self, graph: TfliteGraph) -> None:
        self._tensors = graph.tensors
        self._expanded = {
            op.outputs[0]: op.inputs[0]
            for op in graph.ops
            if op.name == "DEQUANTIZE" and graph.tensors[op.inputs[0]].data.size
        }
        self.kinds = tuple(self.arithmetic(op) for op in graph.ops)
        self._readers: dict[int, str] = {}
        for op, kind in zip(graph.ops, self.kinds, strict=True):
            if op.name not in _CONVERSIONS:
                for index in op.inputs:
                    self._readers.setdefault(self._expanded.get(index, index), kind)

    def arithmetic(self, op: TfliteOp) -> str:
        """``int8``, ``int16``, ``float32`` ... where inputs and outputs are of that type;
        ``int8 weights``, ``int4 weights``, ``float16`` where they are float32 and the weights
        are not: quantized while running or expanded before use."""
        result = self._result(op)
        at = WEIGHTS_AT.get(op.name)
        if result != "float32" or at is None or at >= len(op.inputs) or op.inputs[at] < 0:
            return result
        index = op.inputs[at]
        weights = self._tensors[self._expanded.get(index, index)]
        if not weights.data.size or weights.dtype == "float32":
            return result
        return "float16" if weights.dtype == "float16" else f"{weights.dtype} weights"

    def _result(self, op: TfliteOp) -> str:
        """The type an operator computes in: of its output, or of a quantized input where the
        output is a truth value or an index."""
        indices = (*op.outputs, *op.inputs)
        types = [self._tensors[index].dtype for index in indices if index >= 0]
        first = next((kind for kind in types if kind in _COMPUTING), types[0] if types else "none")
        return _EIGHT_BITS.get(first, first)

    def kind_of_constant(self, index: int) -> str:
        """Of the operator that reads it; its own type where nothing does."""
        return self._readers.get(index) or _own(self._tensors[index])


_COMPUTING: Final = ("float32", "float16", "int8", "uint8", "int16")


def _own(tensor: TfliteTensor) -> str:
    return _EIGHT_BITS.get(tensor.dtype, tensor.dtype)
