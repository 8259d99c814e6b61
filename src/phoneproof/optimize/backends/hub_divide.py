"""Tensors of their own for the roles of a layer: its convolution cut into several by channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import torch
from torch.fx import GraphModule, Node

from phoneproof.core.binding import Layout, OutputBinding
from phoneproof.optimize.backends.head_families import value_axis
from phoneproof.optimize.backends.hub_layers import constant_of

_CONV2D: Final = torch.ops.aten.conv2d.default
_CONVOLUTION: Final = torch.ops.aten.convolution.default
_PERMUTE: Final = torch.ops.aten.permute.default
_NHWC: Final = (0, 2, 3, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Divided:
    """New outputs: the nodes that return them by tensor name, and what they mean."""

    nodes: dict[str, Node]
    outputs: tuple[OutputBinding, ...]


def divide(
    module: GraphModule,
    layers: Mapping[str, Node],
    outputs: tuple[OutputBinding, ...],
    layout: Layout,
) -> Divided:
    """Give the roles of every level tensors of their own, ``scores_0``, where they can have them.

    A convolution of one group is divided exactly: each output channel is computed from the same
    input by its own weights. Any other layer stays whole, and its roles slices of it.

    Args:
        layers: nodes by the names that the outputs carry as tensors; [N, C, rows, columns].
    """
    nodes: dict[str, Node] = {}
    bound = []
    for output in outputs:
        layer = layers[output.tensor]
        if output.slice is None:
            name, node, moved = f"{output.role}_{output.level}", layer, output
        elif (part := _part(module, layer, output)) is not None:
            name, node, moved = f"{output.role}_{output.level}", part, _alone(output)
        else:
            name, node, moved = f"head_{output.level}", layer, output
        moved = msgspec.structs.replace(moved, tensor=name)
        if layout == "NHWC":
            moved = _channels_last(moved)
            node = nodes.get(name) or _permuted(module, node)
        nodes[name] = node
        bound.append(moved)
    return Divided(nodes=nodes, outputs=tuple(bound))


def _part(module: GraphModule, layer: Node, output: OutputBinding) -> Node | None:
    """The convolution of the channels of one role; None where the layer cannot be divided."""
    if not _is_plain_convolution(layer):
        return None
    weight, bias = (constant_of(module, operand) for operand in _weights(layer))
    if weight is None or (bias is None and _weights(layer)[1] is not None):
        return None
    channels = _channels(output)
    name = f"{output.role}_{output.level}"
    with module.graph.inserting_after(layer):
        part = module.graph.node_copy(layer)
    with module.graph.inserting_before(part):
        new_bias = None if bias is None else _constant(module, f"{name}_bias", bias[channels])
        new_weight = _constant(module, f"{name}_weight", weight[channels])
    part.args = (layer.args[0], new_weight, new_bias, *layer.args[3:])
    part.meta["val"] = layer.meta["val"][:, channels]
    return part


def _is_plain_convolution(layer: Node) -> bool:
    """Neither transposed nor in groups, which share out the inputs among the channels."""
    if layer.kwargs:
        return False
    if layer.target is _CONVOLUTION:
        return layer.args[6:9:2] == (False, 1)
    return layer.target is _CONV2D and layer.args[6:] in ((), (1,))


def _weights(layer: Node) -> tuple[object, object]:
    return layer.args[1], layer.args[2] if len(layer.args) > 2 else None


def _channels(output: OutputBinding) -> list[int]:
    """The channels of a role: its slice of the values of each packed anchor."""
    width = output.shape[1] // output.packed
    first, end = output.slice or (0, width)
    return [a * width + value for a in range(output.packed) for value in range(first, end)]


def _constant(module: GraphModule, name: str, value: torch.Tensor) -> Node:
    module.register_buffer(name, value.detach().clone())
    return module.graph.get_attr(name)


def _alone(output: OutputBinding) -> OutputBinding:
    """The role on a tensor that holds nothing else."""
    batch, _, rows, columns = output.shape
    return msgspec.structs.replace(
        output,
        shape=(batch, len(_channels(output)), rows, columns),
        axes=(value_axis(output.role), "y", "x"),
        slice=None,
    )


def _channels_last(output: OutputBinding) -> OutputBinding:
    value, *grid = output.axes
    return msgspec.structs.replace(
        output,
        shape=tuple(output.shape[axis] for axis in _NHWC),
        axes=(*grid, value),
    )


def _permuted(module: GraphModule, node: Node) -> Node:
    with module.graph.inserting_after(node):
        permuted = module.graph.call_function(_PERMUTE, (node, list(_NHWC)))
    permuted.meta["val"] = node.meta["val"].permute(_NHWC)
    return permuted
