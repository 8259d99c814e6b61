"""Outputs that are a Concat of boxes and scores: what was joined becomes outputs again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import msgspec
import torch
from torch.fx import GraphModule, Node

from phoneproof.core.binding import OutputBinding
from phoneproof.decode.values import VALUE_AXES
from phoneproof.optimize.backends.hub_divide import Divided
from phoneproof.optimize.backends.hub_graph import shape_of

_ATEN: Final = torch.ops.aten
_CAT: Final = _ATEN.cat.default
_PERMUTE: Final = _ATEN.permute.default
_COPIES: Final = frozenset({_ATEN.clone.default, _ATEN.contiguous.default})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Joined:
    """A Concat and how its axes became those of the output: ``output[i] = concat[axes[i]]``."""

    concat: Node
    axes: tuple[int, ...]


def split_joins(
    module: GraphModule, nodes: dict[str, Node], outputs: tuple[OutputBinding, ...]
) -> Divided | None:
    """Every tensor that carries several roles, split where it was joined; None where one was not.

    Args:
        nodes: the program's outputs by name. outputs: the roles they carry.
    """
    found: dict[str, Node] = {}
    bound = []
    for output in outputs:
        shared = sum(other.tensor == output.tensor for other in outputs) > 1
        if not shared:
            found[output.tensor] = nodes[output.tensor]
            bound.append(output)
            continue
        node = _part(module, nodes[output.tensor], output)
        if node is None or output.role in found:
            return None
        found[output.role] = node
        bound.append(
            msgspec.structs.replace(output, tensor=output.role, shape=shape_of(node), slice=None)
        )
    return Divided(nodes=found, outputs=tuple(bound))


def _part(module: GraphModule, node: Node, output: OutputBinding) -> Node | None:
    values = [place for place, axis in enumerate(output.axes, 1) if axis in VALUE_AXES]
    joined = _joined(node)
    if joined is None or len(values) != 1 or output.slice is None or output.packed != 1:
        return None
    rank = len(joined.axes)
    dimension = joined.concat.args[1] if len(joined.concat.args) > 1 else 0
    if not isinstance(dimension, int) or dimension % rank != joined.axes[values[0]]:
        return None
    pieces = _pieces(joined.concat, dimension % rank, output.slice)
    return _gathered(module, node, pieces, dimension % rank, joined.axes) if pieces else None


def _joined(node: Node) -> _Joined | None:
    """The Concat that an output is, behind permutations."""
    axes = tuple(range(len(shape_of(node))))
    while node.target is not _CAT:
        if node.target in _COPIES:
            order = tuple(range(len(axes)))
        elif node.target is _PERMUTE:
            order = tuple(axis % len(axes) for axis in cast(list[int], node.args[1]))
        elif node.target is _ATEN.transpose.int:
            order = _swapped(len(axes), *cast(tuple[int, int], node.args[1:3]))
        else:
            return None
        axes = tuple(order[axis] for axis in axes)
        (node,) = node.all_input_nodes
    return _Joined(concat=node, axes=axes)


def _swapped(rank: int, first: int, second: int) -> tuple[int, ...]:
    order = list(range(rank))
    order[first], order[second] = order[second], order[first]
    return tuple(order)


def _pieces(concat: Node, dimension: int, cut: tuple[int, int]) -> tuple[Node, ...]:
    """The inputs that make up values [first, end) exactly; () where a border is inside one."""
    pieces, first = [], 0
    for piece in cast(list[Node], concat.args[0]):
        end = first + shape_of(piece)[dimension]
        if cut[0] <= first and end <= cut[1]:
            pieces.append(piece)
        elif end > cut[0] and first < cut[1]:
            return ()
        first = end
    return tuple(pieces)


def _gathered(
    module: GraphModule,
    output: Node,
    pieces: tuple[Node, ...],
    dimension: int,
    axes: tuple[int, ...],
) -> Node:
    """The pieces as one tensor with the axes of the output."""
    values = [piece.meta["val"] for piece in pieces]
    node, value = pieces[0], values[0]
    with module.graph.inserting_after(output):
        if len(pieces) > 1:
            node = module.graph.call_function(_CAT, (list(pieces), dimension))
            value = torch.cat(values, dimension)
            node.meta["val"] = value
    if axes != tuple(range(len(axes))):
        with module.graph.inserting_after(node if len(pieces) > 1 else output):
            node = module.graph.call_function(_PERMUTE, (node, list(axes)))
        node.meta["val"] = value.permute(axes)
    return node
