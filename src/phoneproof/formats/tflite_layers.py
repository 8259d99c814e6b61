"""Which operators of a TFLite file hold what was learned, and which only come after it."""

from __future__ import annotations

import numpy as np

from phoneproof.formats.tflite import WEIGHTS_AT, TfliteGraph, TfliteOp


def layer_name(graph: TfliteGraph, op: TfliteOp) -> str:
    """An operator's name: that of its first output; "" where it has none."""
    return graph.tensors[op.outputs[0]].name if op.outputs else ""


def tail_layers(graph: TfliteGraph) -> tuple[str, ...]:
    """The operators behind the last learned weights, in the file's order: the decode.

    A convolution over 0, 1, 2 ... (the expectation of a distribution over bins) was not learned.
    """
    before: set[int] = set()
    tail: list[str] = []
    for op in reversed(graph.ops):
        if _is_learned(graph, op) or before.intersection(op.outputs):
            before.update(index for index in op.inputs if index >= 0)
        else:
            tail.append(layer_name(graph, op))
    return tuple(reversed(tail))


def _is_learned(graph: TfliteGraph, op: TfliteOp) -> bool:
    at = WEIGHTS_AT.get(op.name)
    if at is None or at >= len(op.inputs) or op.inputs[at] < 0:
        return False
    weights = graph.tensors[op.inputs[at]]
    if not weights.data.size or weights.dtype != "float32":
        return bool(weights.data.size)
    values = weights.data.view(np.float32)
    return not np.array_equal(values, np.arange(values.size))


def readers(graph: TfliteGraph) -> dict[str, tuple[str, ...]]:
    """Name of an operator -> those that read one of its outputs, in the file's order."""
    makers = {index: layer_name(graph, op) for op in graph.ops for index in op.outputs}
    found: dict[str, list[str]] = {layer_name(graph, op): [] for op in graph.ops}
    for op in graph.ops:
        name = layer_name(graph, op)
        for maker in dict.fromkeys(makers[index] for index in op.inputs if index in makers):
            found[maker].append(name)
    return {name: tuple(names) for name, names in found.items()}
