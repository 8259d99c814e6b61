"""A TFLite graph looked at without running it: how outputs end, and what integers do in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import numpy as np

from phoneproof.capture.heads import Leaf, OutputFacts, Step
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.tflite import TfliteGraph, TfliteOp
from phoneproof.formats.tflite_values import constant_values, is_quantised

_PASSING: Final = (
    "TRANSPOSE",
    "RESHAPE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "SLICE",
    "STRIDED_SLICE",
    "SPLIT",
    "SPLIT_V",
    "UNPACK",
    "CAST",
    "QUANTIZE",
    "DEQUANTIZE",
)
_PICKING: Final = ("GATHER", "GATHER_ND")
_CONVOLUTIONS: Final = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
_STOPS: Final = (*_CONVOLUTIONS, "FULLY_CONNECTED", "BATCH_MATMUL")
_ARITHMETIC: Final = ("MUL", "DIV", "ADD", "SUB")
_MAX_STEPS: Final = 4096
_MAX_INSIDE: Final = 64
"""Bounds of walks over hostile graphs; real heads are within a few dozen operators."""

_NAMES: Final = {
    **dict.fromkeys(_CONVOLUTIONS, "Conv"),
    "FULLY_CONNECTED": "Gemm",
    "BATCH_MATMUL": "MatMul",
    "LOGISTIC": "Sigmoid",
    "SOFTMAX": "Softmax",
    "LOG_SOFTMAX": "LogSoftmax",
    "ADD": "Add",
    "SUB": "Sub",
    "MUL": "Mul",
    "DIV": "Div",
    "EXP": "Exp",
    "MEAN": "ReduceMean",
    "AVERAGE_POOL_2D": "AveragePool",
    "CONCATENATION": "Concat",
    "RELU": "Relu",
    "HARD_SWISH": "HardSwish",
    "ARG_MAX": "ArgMax",
}
"""TFLite's operators by the names that head recognition knows."""

_WEIGHT_SLOTS: Final = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1}


class TfliteFacts:
    """Who makes what in one graph."""

    def __init__(self, graph: TfliteGraph) -> None:
        self._graph = graph
        self._producers = {index: op for op in graph.ops for index in op.outputs}

    def output(self, index: int, spec: TensorSpec) -> OutputFacts:
        """How one output is made. `spec`: as the hub program gives it."""
        tail = list(self._tail(index))
        constants = [size for op in tail if (size := self._largest_constant(op)) is not None]
        return OutputFacts(
            spec=spec,
            leaves=tuple(self._leaves(index)),
            exponential=any(op.name == "EXP" for op in tail),
            largest_constant=max(constants, default=None),
        )

    def _leaves(self, start: int) -> Iterator[Leaf]:
        stack: list[tuple[int, int | None, bool]] = [(start, None, False)]
        for _ in range(_MAX_STEPS):
            if not stack:
                return
            index, width, integer = stack.pop()
            op = self._producers.get(index)
            integer = integer or self._is_whole(index)
            if op is None:
                kind = "constant" if self._is_constant(index) else "input"
                yield Leaf(op=kind, width=width, integer=integer)
            elif op.name in _PASSING:
                stack.append((self._moved(op), width, integer))
            elif op.name == "CONCATENATION":
                axis = op.options.number("axis")
                parts = reversed(op.inputs)
                stack.extend((part, self._side(part, axis), integer) for part in parts)
            else:
                steps, joins = self._inside(index)
                name = _NAMES.get(op.name, op.name)
                yield Leaf(op=name, width=width, integer=integer, steps=steps, joins=joins)

    def _inside(self, index: int) -> tuple[tuple[Step, ...], tuple[str, ...]]:
        """Scalings from a tensor inwards, and the operators that are joined before them."""
        steps: list[Step] = []
        for _ in range(_MAX_INSIDE):
            op = self._producers.get(index)
            if op is None:
                break
            if op.name == "CONCATENATION":
                return tuple(steps), tuple(self._behind(part) for part in op.inputs)
            if op.name in _PASSING or op.name in _PICKING:
                index = self._moved(op)
            elif op.name == "MUL" or op.name == "DIV":
                constant = self._largest_constant(op)
                steps.append(Step(op="Mul" if op.name == "MUL" else "Div", constant=constant))
                index = self._scaled(op)
            else:
                break
        return tuple(steps), ()

    def _scaled(self, op: TfliteOp) -> int:
        """The input that is scaled: not the constant one, and rather one that is joined."""
        parts = [part for part in op.inputs if not self._is_constant(part)]
        joined = [part for part in parts if self._behind(part) == "Concat"]
        return next(iter([*joined, *parts, *op.inputs]), -1)

    def _behind(self, index: int) -> str:
        """The operator behind those that only move values."""
        for _ in range(_MAX_INSIDE):
            op = self._producers.get(index)
            if op is None:
                return ""
            if op.name not in _PASSING:
                return _NAMES.get(op.name, op.name)
            index = self._moved(op)
        return ""

    def _moved(self, op: TfliteOp) -> int:
        """The input whose values an operator passes on (SPLIT names its axis first)."""
        place = 1 if op.name == "SPLIT" else 0
        return op.inputs[place] if len(op.inputs) > place else -1

    def _side(self, index: int, axis: int) -> int | None:
        shape = self._graph.tensors[index].shape
        return shape[axis] if -len(shape) <= axis < len(shape) else None

    def _is_constant(self, index: int) -> bool:
        return index >= 0 and bool(self._graph.tensors[index].data.size)

    def _is_whole(self, index: int) -> bool:
        """Whether a tensor holds whole numbers that stand for themselves (labels, counts)."""
        if index < 0:
            return False
        tensor = self._graph.tensors[index]
        return tensor.dtype in ("int32", "int64") and not is_quantised(tensor)

    def _tail(self, start: int) -> Iterator[TfliteOp]:
        """Operators between an output and the last convolutions or matrix products, once each."""
        queue, seen = deque([start]), {start}
        while queue and len(seen) < _MAX_STEPS:
            op = self._producers.get(queue.popleft())
            if op is None or op.name in _STOPS:
                continue
            yield op
            fresh = [part for part in op.inputs if part >= 0 and part not in seen]
            seen.update(fresh)
            queue.extend(fresh)

    def _largest_constant(self, op: TfliteOp) -> float | None:
        """Largest magnitude of the constants an arithmetic operator reads."""
        if op.name not in _ARITHMETIC:
            return None
        sizes = []
        for index in op.inputs:
            if self._is_constant(index):
                values = constant_values(self._graph.tensors[index])
                if values.size and values.dtype.kind == "f":
                    sizes.append(float(np.abs(values).max()))
        return max(sizes, default=None)


def has_quantised_activations(graph: TfliteGraph) -> bool:
    """Whether some operator gives integers that stand for reals."""
    return bool(_quantised_type(graph))


def _quantised_type(graph: TfliteGraph) -> str:
    for op in graph.ops:
        for index in op.outputs:
            made = graph.tensors[index]
            if is_quantised(made) and made.dtype != "int32":
                return made.dtype
    return ""


def integer_arithmetic(graph: TfliteGraph) -> str:
    """How the graph computes with integers, in words; "" where it computes with floats."""
    kind = _quantised_type(graph)
    if kind:
        return f"activations are {kind} with a scale each"
    for op in graph.ops:
        slot = _WEIGHT_SLOTS.get(op.name)
        if slot is None or slot >= len(op.inputs):
            continue
        weights = graph.tensors[op.inputs[slot]]
        if weights.data.size and weights.dtype in ("int8", "uint8", "int4"):
            return (
                f"{weights.dtype} weights meet float activations, which LiteRT rounds to integers "
                "image by image (dynamic range)"
            )
    return ""
