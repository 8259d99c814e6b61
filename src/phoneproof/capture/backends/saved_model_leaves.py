"""What computes an output of a TensorFlow graph: found by walking back, through function calls."""

from __future__ import annotations

from phoneproof.capture.heads import Leaf, OutputFacts
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.tensorflow_graph import Graph, Node, Program, base, output_index

_PASSING = frozenset(
    [
        *("Identity", "IdentityN", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "Cast"),
        *("EnsureShape", "Snapshot", "PreventGradient", "Transpose"),
    ]
)
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_SUMS = ("BiasAdd", "Add", "AddV2", "BiasAddV1")
_NAMES = {
    "MatMul": "Gemm",
    "Conv2D": "Conv",
    "DepthwiseConv2dNative": "Conv",
    "Conv2DBackpropInput": "Conv",
    "Mean": "ReduceMean",
    "AvgPool": "AveragePool",
    "AddV2": "Add",
}
"""Heads are recognised by ONNX's names of operators."""
_MAX_STEPS = 256
"""Bounds the walk through a graph that goes in circles."""


def output_facts(program: Program, reference: str, spec: TensorSpec) -> OutputFacts:
    """One output of the main graph, "node:index"."""
    found = _origin(program, program.main, reference)
    leaves = () if found is None else (Leaf(op=_operator(program, *found)),)
    return OutputFacts(spec=spec, leaves=leaves)


def _origin(program: Program, graph: Graph, reference: str) -> tuple[Graph, Node] | None:
    """The first node behind a reference that does more than move values."""
    callers: list[tuple[Graph, Node]] = []
    for _ in range(_MAX_STEPS):
        node = graph.nodes.get(base(reference))
        if node is None:  # an argument: go on where the function is called
            if not callers or base(reference) not in graph.arguments:
                return None
            place = graph.arguments.index(base(reference))
            graph, call = callers.pop()
            if place >= len(call.inputs):
                return None
            reference = call.inputs[place]
        elif node.op in _PASSING and node.inputs:
            index = output_index(reference) if node.op == "IdentityN" else 0
            reference = node.inputs[min(index, len(node.inputs) - 1)]
        elif node.op in _CALLS and node.functions and node.functions[0] in program.functions:
            callers.append((graph, node))
            inner = program.functions[node.functions[0]]
            index = output_index(reference)
            if index >= len(inner.results):
                return None
            graph, reference = inner, inner.results[index]
        else:
            return graph, node
    return None


def _operator(program: Program, graph: Graph, node: Node) -> str:
    if node.op in _SUMS and node.inputs:
        before = _origin(program, graph, node.inputs[0])
        if before is not None and before[1].op in _NAMES:
            return _NAMES[before[1].op]
    return _NAMES.get(node.op, node.op)
