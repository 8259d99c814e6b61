"""An ONNX graph looked at without running it: who makes what, how outputs end, what is inside."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    ValueInfoProto,
    external_data_helper,
    helper,
    numpy_helper,
    shape_inference,
)

from phoneproof.capture.heads import Leaf, OutputFacts
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
    "Cast",
)
_STOPS = ("Conv", "Gemm", "MatMul")
_MAX_STEPS = 4096
"""Bounds a walk over a hostile graph; real heads are within a few dozen operators."""


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
        self._shapes = _shapes(model)

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
        stack: list[tuple[str, int | None]] = [(name, None)]
        for _ in range(_MAX_STEPS):
            if not stack:
                return
            tensor, width = stack.pop()
            node = self._producers.get(tensor)
            if node is None:
                yield Leaf(op="input" if tensor not in self._constants else "constant", width=width)
            elif node.op_type in _PASSING:
                stack.append((node.input[0], width))
            elif node.op_type == "Concat":
                axis = int(_attribute(node, "axis", 0))
                stack.extend((part, self._side(part, axis)) for part in reversed(node.input))
            else:
                yield Leaf(op=node.op_type, width=width)

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


def _shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    try:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # inference is a help, not a need: custom operators stop it
        graph = model.graph
    values = (*graph.input, *graph.value_info, *graph.output)
    shapes = {v.name: dims(v) for v in values if v.type.tensor_type.HasField("shape")}
    shapes.update({t.name: tuple(t.dims) for t in graph.initializer})
    return shapes
