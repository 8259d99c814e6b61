"""Which activations are a gate's input: their error counts behind the gate, not before it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phoneproof.core.binding import Binding, Format
from phoneproof.optimize.range_methods import Consumer

_SIGMOIDS: Final = frozenset({"LOGISTIC", "Sigmoid"})
_PRODUCTS: Final = frozenset({"MUL", "Mul"})
_MOVES: Final = frozenset({"TRANSPOSE", "RESHAPE", "Transpose", "Reshape"})
_SCORES: Final = frozenset({"scores", "objectness"})
_HARD_SWISHES: Final = frozenset({"HARD_SWISH", "HardSwish"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One operator of a graph and the names of its tensors."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def file_consumers(path: Path, kind: Format, binding: Binding) -> dict[str, Consumer]:
    """The gates of a model file, and those that the binding leaves to the app.

    Returns:
        tensor name -> what it is turned into; a tensor that serves anything else is not in it.

    Raises:
        InvalidInput: a damaged file.
    """
    outputs = binding.tensors
    nodes = _nodes(path, kind)
    found = gates(nodes, outputs)
    for name in outputs:
        parts = [one for one in binding.outputs if one.tensor == name]
        # A tensor of which only a part is gated keeps the plain error.
        if any(one.activation != "sigmoid" for one in parts):
            continue
        is_score = all(one.role in _SCORES for one in parts)
        for same in moved(name, nodes, outputs):
            found[same] = "score" if is_score else "sigmoid"
    return found


def moved(name: str, nodes: Iterable[Node], outputs: Iterable[str]) -> Iterator[str]:
    """An output, and the tensors before it that hold the same values in another order.

    Only those that serve nothing else: a range that suits scores would cut off what another
    reader needs. An output that the graph itself reads too is left out with all before it.

    Args:
        name: the output. outputs: of the file, all of them.
    """
    nodes = tuple(nodes)
    makers = {output: node for node in nodes for output in node.outputs}
    if any(name in node.inputs for node in nodes):
        return
    yield name
    while name in makers and makers[name].op in _MOVES:
        mover, name = makers[name], makers[name].inputs[0]
        if name in outputs or any(name in node.inputs for node in nodes if node is not mover):
            return
        yield name


def gates(nodes: Iterable[Node], outputs: Iterable[str] = ()) -> dict[str, Consumer]:
    """Tensors whose only use is a SiLU (as a product with its own sigmoid), a hard swish or a
    sigmoid.

    Args:
        outputs: tensors that the app reads too.
    """
    users: defaultdict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        for name in dict.fromkeys(node.inputs):
            users[name].append(node)
    found: dict[str, Consumer] = {}
    read = set(outputs)
    for name, using in list(users.items()):
        if name in read:
            continue
        kind = _consumer(name, using, users, read)
        if kind is not None:
            found[name] = kind
    return found


def _consumer(
    name: str, using: list[Node], users: defaultdict[str, list[Node]], read: set[str]
) -> Consumer | None:
    ops = sorted(node.op for node in using)
    if len(using) == 1:
        if ops[0] in _HARD_SWISHES:
            return "hard_swish"
        return "sigmoid" if ops[0] in _SIGMOIDS else None
    if len(using) != 2:
        return None
    gate = next((node for node in using if node.op in _SIGMOIDS), None)
    product = next((node for node in using if node.op in _PRODUCTS), None)
    if gate is None or product is None:
        return None
    opened = gate.outputs[0]
    alone = opened not in read and users[opened] == [product]
    return "silu" if alone and set(product.inputs) == {name, opened} else None


def _nodes(path: Path, kind: Format) -> list[Node]:
    if kind == "tflite":
        from phoneproof.formats.tflite import read_tflite

        graph = read_tflite(path)
        names = [tensor.name for tensor in graph.tensors]
        return [
            Node(
                op=op.name,
                inputs=tuple(names[i] for i in op.inputs if i >= 0),
                outputs=tuple(names[i] for i in op.outputs if i >= 0),
            )
            for op in graph.ops
        ]
    if kind == "onnx":
        from phoneproof.formats.onnx_file import read_onnx

        return [
            Node(op=node.op_type, inputs=tuple(node.input), outputs=tuple(node.output))
            for node in read_onnx(path).graph.node
        ]
    return []
