"""Taking channels out of a hub program, and the same program with those channels held at zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node

from phoneproof.core.errors import OptimizationFailed
from phoneproof.optimize.backends.channel_groups import Labels
from phoneproof.optimize.backends.channel_ops import (
    CONVOLUTIONS,
    PADS,
    RESHAPES,
    SLICE,
    SPLIT,
    SPLITS,
    padding,
)
from phoneproof.optimize.backends.hub_channels import Channels
from phoneproof.optimize.backends.hub_graph import shape_of
from phoneproof.optimize.backends.hub_layers import constant_of

Mask = NDArray[np.bool_]

_SAME: Final = 1e-3
"""Of an output's largest number: what adding in another order may change in float32."""

_ATEN: Final = torch.ops.aten


@dataclass(frozen=True, kw_only=True, slots=True)
class CutProgram:
    """A program with fewer channels. nodes: of the original program -> of this one."""

    module: GraphModule
    nodes: dict[Node, Node]


def without(channels: Channels, stays: Mask) -> CutProgram:
    """The program without the channels that do not stay.

    Args:
        stays: bool [count], the same for all of a group.
    """
    copy, nodes = _copied(channels.module)
    for node, new in nodes.items():
        _resize(channels, node, new, stays)
    module = GraphModule(channels.module, copy)
    # The weights are this program's own: they will be cut, and may learn.
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        _set(module, name, value.detach().clone())
    for cut in channels.cuts:
        name = str(cut.constant.target)
        value = cast(Tensor, constant_of(module, nodes[cut.constant]))
        entries = torch.from_numpy(np.flatnonzero(stays[cut.numbers]))
        _set(module, name, value.index_select(cut.axis, entries))
    return CutProgram(module=module, nodes=nodes)


def gated(channels: Channels, groups: NDArray[np.int64]) -> GraphModule:
    """The program with a second input, float32 [count]: one factor for each group of channels.

    It multiplies the channels where a layer reads them: at zero the channel is as good as gone.
    """
    copy, nodes = _copied(channels.module)
    image = next(node for node in copy.nodes if node.op == "placeholder")
    with copy.inserting_after(image):
        gates = copy.placeholder("gates")
    constants: dict[str, Tensor] = {}
    for place, layer in enumerate(channels.layers):
        if layer.columns is None:
            continue
        name = f"gates_of_{place}"
        constants[name] = torch.from_numpy(groups[layer.columns])
        wide = [1] * len(shape_of(layer.reads))
        wide[channels.labels[layer.reads].axis] = -1
        read, user = nodes[layer.reads], nodes[layer.node]
        with copy.inserting_before(user):
            at = copy.get_attr(name)
            factors = copy.call_function(_ATEN.index_select.default, (gates, 0, at))
            factors = copy.call_function(_ATEN.reshape.default, (factors, wide))
            product = copy.call_function(_ATEN.mul.Tensor, (read, factors))
        user.replace_input_with(read, product)
    root = GraphModule(channels.module, Graph())
    for name, value in [*_tensors(channels.module), *constants.items()]:
        _set(root, name, value)
    return GraphModule(root, copy)


def require_same(
    held: Callable[[Tensor], tuple[Tensor, ...]],
    cut: Callable[[Tensor], tuple[Tensor, ...]],
    images: Tensor,
) -> float:
    """Prove that the smaller program is the original one with those channels at zero.

    Args:
        held, cut: the original with its channels held at zero, and the smaller program.
        images: float32 [N, *input shape].

    Returns:
        The largest difference, relative to the output's largest number.

    Raises:
        OptimizationFailed: it is another function.
    """
    worst = 0.0
    with torch.no_grad():
        for image in images:
            for one, other in zip(held(image), cut(image), strict=True):
                if one.shape != other.shape:
                    raise _other(f"an output of shape {list(other.shape)}, not {list(one.shape)}")
                size = float(one.abs().max())
                worst = max(worst, float((one - other).abs().max()) / (size or 1.0))
    if not worst <= _SAME:
        raise _other(f"outputs differ by {worst:.2g} of their size")
    return worst


def _other(found: str) -> OptimizationFailed:
    return OptimizationFailed(
        "the program without the channels is not the program with those channels at zero",
        found=found,
        next_step="leave this model unpruned",
    )


def _copied(module: GraphModule) -> tuple[Graph, dict[Node, Node]]:
    graph, nodes = Graph(), dict[Node, Node]()
    for node in module.graph.nodes:
        nodes[node] = graph.node_copy(node, lambda old: nodes[old])
    return graph, nodes


def _resize(channels: Channels, node: Node, new: Node, stays: Mask) -> None:
    """Change the numbers in a node's arguments that count channels."""
    target, labels = node.target, channels.labels.get(node)
    source = node.all_input_nodes[0] if node.all_input_nodes else None
    read = channels.labels.get(source) if source is not None else None
    if target in RESHAPES and labels is not None:
        sizes = list(shape_of(node))
        sizes[labels.axis] = _left(labels, stays)
        new.args = (new.args[0], sizes, *new.args[2:])
    elif target in PADS and labels is not None:
        _resize_padding(node, new, labels, stays)
    elif target is SLICE and read is not None:
        _resize_slice(node, new, read, stays)
    elif target in SPLITS and node in channels.pieces:
        axis = cast(Labels, read).axis
        pieces = [cast(Labels, one) for one in channels.pieces[node]]
        if all(one.axis == axis for one in pieces) and _axis_of(node) == axis:
            new.target = SPLIT
            new.args = (new.args[0], [_left(one, stays) for one in pieces], axis)
            new.kwargs = {}
    elif target in CONVOLUTIONS and read is not None and _is_depthwise(channels, node):
        _regroup(new, _left(read, stays))


def _left(labels: Labels, stays: Mask) -> int:
    return int(stays[labels.numbers].sum())


def _axis_of(node: Node) -> int:
    axis = node.args[2] if len(node.args) > 2 else node.kwargs.get("dim", 0)
    return cast(int, axis) % len(shape_of(node.all_input_nodes[0]))


def _resize_padding(node: Node, new: Node, labels: Labels, stays: Mask) -> None:
    before, after = padding(node, labels.axis)
    if not before and not after:
        return
    amounts = list(cast("list[int]", node.args[1]))
    at = 2 * (len(shape_of(node)) - 1 - labels.axis)
    kept = stays[labels.numbers]
    amounts[at : at + 2] = [int(kept[:before].sum()), int(kept[len(kept) - after :].sum())]
    new.args = (new.args[0], amounts, *new.args[2:])


def _resize_slice(node: Node, new: Node, read: Labels, stays: Mask) -> None:
    args = [*node.args, *[None] * (5 - len(node.args))]
    rank = len(shape_of(node.all_input_nodes[0]))
    if cast(int, args[1] or 0) % rank != read.axis:
        return
    kept = stays[read.numbers]
    start, end, _ = slice(args[2], args[3]).indices(len(kept))
    step = args[4] or 1
    new.args = (new.args[0], read.axis, int(kept[:start].sum()), int(kept[:end].sum()), step)


def _is_depthwise(channels: Channels, node: Node) -> bool:
    return any(layer.node is node and layer.depthwise for layer in channels.layers)


def _regroup(new: Node, count: int) -> None:
    at = 8 if new.target is _ATEN.convolution.default else 6
    if len(new.args) > at:
        new.args = (*new.args[:at], count, *new.args[at + 1 :])
    else:
        new.kwargs = {**new.kwargs, "groups": count}


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _set(module: nn.Module, name: str, value: Tensor) -> None:
    """Put a tensor under a dotted name; weights become parameters where they were such."""
    *path, last = name.split(".")
    for part in path:
        if not hasattr(module, part):
            module.add_module(part, nn.Module())
        module = cast(nn.Module, getattr(module, part))
    is_parameter = last in module._parameters
    if hasattr(module, last):
        delattr(module, last)
    if is_parameter:
        module.register_parameter(last, nn.Parameter(value, requires_grad=False))
    else:
        module.register_buffer(last, value)
