"""An ONNX graph looked at without running it: who makes what, how outputs end, what is inside."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    external_data_helper,
    helper,
    numpy_helper,
    shape_inference,
)

from phoneproof.capture.heads import Leaf, OutputFacts, Step
from phoneproof.core.tensors import TensorSpec

_PASSING = (
    "Transpose",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Identity",
    "Dropout",
    "Slice",
    "Split",
    "Cast",
)
_PICKING = ("Gather", "GatherElements", "GatherND")
"""They choose rows of their first input, whose meaning stays."""
_STOPS = ("Conv", "Gemm", "MatMul")
_MAX_STEPS = 4096
"""Bounds a walk over a hostile graph; real heads are within a few dozen operators."""
_MAX_INSIDE = 64
"""Bounds the walk from one leaf inwards."""
_WHOLE = (TensorProto.INT32, TensorProto.INT64)


class OnnxGraph:
    """Producers, consumers, shapes and constants of one parsed file."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.graph = model.graph
        self._producers = {name: node for node in self.graph.node for name in node.output if name}
        self._constants = {tensor.name: tensor for tensor in self.graph.initializer}
        for node in self.graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                self._constants[node.output[0]] = node.attribute[0].t
        self._shapes, self._whole = _shapes(model)

    def inputs(self) -> tuple[ValueInfoProto, ...]:
        """Graph inputs that are not weights (old files list those too)."""
        return tuple(v for v in self.graph.input if v.name not in self._constants)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """A tensor's inferred shape, -1 where open; None where nothing is known."""
        return self._shapes.get(name)

    def consumers(self, name: str) -> tuple[NodeProto, ...]:
        """Operators that read a tensor."""
        return tuple(node for node in self.graph.node if name in node.input)

    def facts(self, spec: TensorSpec) -> OutputFacts:
        """How one output is made."""
        tail = tuple(self._tail(spec.name))
        constants = [size for node in tail if (size := self._largest_constant(node)) is not None]
        return OutputFacts(
            spec=spec,
            leaves=tuple(self._leaves(spec.name)),
            exponential=any(node.op_type == "Exp" for node in tail),
            largest_constant=max(constants, default=None),
        )

    def _leaves(self, name: str) -> Iterator[Leaf]:
        stack: list[tuple[str, int | None, bool]] = [(name, None, False)]
        for _ in range(_MAX_STEPS):
            if not stack:
                return
            tensor, width, integer = stack.pop()
            node = self._producers.get(tensor)
            integer = integer or tensor in self._whole
            if node is None:
                op = "input" if tensor not in self._constants else "constant"
                yield Leaf(op=op, width=width, integer=integer)
            elif node.op_type in _PASSING:
                stack.append((node.input[0], width, integer))
            elif node.op_type == "Concat":
                axis = int(_attribute(node, "axis", 0))
                parts = reversed(node.input)
                stack.extend((part, self._side(part, axis), integer) for part in parts)
            else:
                steps, joins = self._inside(tensor)
                yield Leaf(op=node.op_type, width=width, integer=integer, steps=steps, joins=joins)

    def _inside(self, name: str) -> tuple[tuple[Step, ...], tuple[str, ...]]:
        """Scalings from a tensor inwards, and the operators that are joined before them."""
        steps: list[Step] = []
        for _ in range(_MAX_INSIDE):
            node = self._producers.get(name)
            if node is None:
                break
            if node.op_type == "Concat":
                return tuple(steps), tuple(self._behind(part) for part in node.input)
            if node.op_type in _PASSING or node.op_type in _PICKING:
                name = node.input[0]
            elif node.op_type == "Mul" or node.op_type == "Div":
                constant = self._largest_constant(node)
                steps.append(Step(op="Mul" if node.op_type == "Mul" else "Div", constant=constant))
                name = self._scaled(node)
            else:
                break
        return tuple(steps), ()

    def _scaled(self, node: NodeProto) -> str:
        """The input that is scaled: not the constant one, and rather one that is joined."""
        parts = [part for part in node.input if part not in self._constants]
        joined = [part for part in parts if self._behind(part) == "Concat"]
        return next(iter([*joined, *parts, *node.input]), "")

    def _behind(self, name: str) -> str:
        """The operator behind those that only move values."""
        for _ in range(_MAX_INSIDE):
            node = self._producers.get(name)
            if node is None:
                return ""
            if node.op_type not in _PASSING:
                return str(node.op_type)
            name = node.input[0]
        return ""

    def _side(self, name: str, axis: int) -> int | None:
        shape = self.shape(name)
        if shape is None or not -len(shape) <= axis < len(shape) or shape[axis] < 0:
            return None
        return shape[axis]

    def _tail(self, name: str) -> Iterator[NodeProto]:
        """Operators between an output and the last convolutions or matrix products, once each."""
        queue, seen = deque([name]), {name}
        while queue and len(seen) < _MAX_STEPS:
            node = self._producers.get(queue.popleft())
            if node is None or node.op_type in _STOPS:
                continue
            yield node
            fresh = [part for part in node.input if part and part not in seen]
            seen.update(fresh)
            queue.extend(fresh)

    def _largest_constant(self, node: NodeProto) -> float | None:
        """Largest magnitude of the constants an arithmetic operator reads."""
        if node.op_type not in ("Mul", "Div", "Add", "Sub"):
            return None
        sizes = []
        for name in node.input:
            tensor = self._constants.get(name)
            if tensor is None or external_data_helper.uses_external_data(tensor):
                continue
            values = numpy_helper.to_array(tensor)
            if values.size and values.dtype.kind == "f":
                sizes.append(float(np.abs(values).max()))
        return max(sizes, default=None)


def operators(graph: GraphProto) -> Iterator[tuple[str, str]]:
    """(domain, operator) of every node, subgraphs included; the standard domain is ``""``."""
    for node in graph.node:
        yield ("" if node.domain == "ai.onnx" else node.domain), node.op_type
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from operators(attribute.g)
            for inner in attribute.graphs:
                yield from operators(inner)


def dims(value: ValueInfoProto) -> tuple[int, ...]:
    """A declared shape; -1 where an axis is open or named."""
    shape = value.type.tensor_type.shape
    return tuple(int(d.dim_value) if d.dim_value > 0 else -1 for d in shape.dim)


def _attribute(node: NodeProto, name: str, default: int) -> int:
    for attribute in node.attribute:
        if attribute.name == name:
            return int(helper.get_attribute_value(attribute))
    return default


def _shapes(model: ModelProto) -> tuple[dict[str, tuple[int, ...]], frozenset[str]]:
    """What is known of each tensor: its shape, and which hold whole numbers."""
    try:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # inference is a help, not a need: custom operators stop it
        graph = model.graph
    values = (*graph.input, *graph.value_info, *graph.output)
    shapes = {v.name: dims(v) for v in values if v.type.tensor_type.HasField("shape")}
    shapes.update({t.name: tuple(t.dims) for t in graph.initializer})
    whole = frozenset(v.name for v in values if v.type.tensor_type.elem_type in _WHOLE)
    return shapes, whole
