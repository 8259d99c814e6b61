"""The last layers with learned weights: behind them a program only computes with constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch.fx import GraphModule, Node

_ATEN = torch.ops.aten
_LEARNING: Final = frozenset(
    {
        _ATEN.conv1d.default,
        _ATEN.conv2d.default,
        _ATEN.conv2d.padding,
        _ATEN.conv_transpose2d.input,
        _ATEN.convolution.default,
        _ATEN.linear.default,
        _ATEN.addmm.default,
        _ATEN.mm.default,
        _ATEN.bmm.default,
        _ATEN.matmul.default,
        _ATEN.batch_norm.default,
        _ATEN._native_batch_norm_legit_no_training.default,
        _ATEN.group_norm.default,
        _ATEN.layer_norm.default,
        _ATEN.native_layer_norm.default,
        _ATEN.prelu.default,
    }
)
"""Operators whose constant operands come from training."""


def last_layers(module: GraphModule, outputs: Sequence[Node]) -> tuple[Node, ...]:
    """The nodes nearest to the outputs whose weights were learned, in the graph's order.

    The expectation over bins of a head (DFL) is a convolution too: its weights 0, 1, 2, ... are
    nobody's training.
    """
    found: set[Node] = set()
    seen: set[Node] = set()
    queue = list(outputs)
    while queue:
        node = queue.pop()
        if node in seen:
            continue
        seen.add(node)
        if _is_learned(module, node):
            found.add(node)
        else:
            queue += node.all_input_nodes
    return tuple(node for node in module.graph.nodes if node in found)


def constant_of(module: GraphModule, node: object) -> torch.Tensor | None:
    """The tensor that a node reads from the program's weights; None for any other node."""
    if not isinstance(node, Node) or node.op != "get_attr":
        return None
    value: object = module
    for name in str(node.target).split("."):
        value = getattr(value, name)
    return value if isinstance(value, torch.Tensor) else None


def _is_learned(module: GraphModule, node: Node) -> bool:
    if node.op != "call_function" or node.target not in _LEARNING:
        return False
    weights = [
        constant
        for operand in node.all_input_nodes
        for leaf in _leaves(operand)
        if (constant := constant_of(module, leaf)) is not None
    ]
    return any(not counts(weight) for weight in weights)


def _leaves(node: Node) -> tuple[Node, ...]:
    """Where a weight comes from when it is only turned round on its way."""
    while node.op == "call_function" and len(node.all_input_nodes) == 1:
        if node.target not in _TURNS:
            return ()
        node = node.all_input_nodes[0]
    return (node,)


_TURNS: Final = frozenset(
    {
        _ATEN.t.default,
        _ATEN.transpose.int,
        _ATEN.permute.default,
        _ATEN.view.default,
        _ATEN.reshape.default,
        _ATEN.unsqueeze.default,
        _ATEN.squeeze.dim,
        _ATEN.clone.default,
    }
)


def counts(weight: torch.Tensor) -> bool:
    """Whether weights are 0, 1, 2, ... in their order."""
    flat = weight.detach().reshape(-1)
    return bool(torch.equal(flat, torch.arange(flat.numel(), dtype=flat.dtype)))
