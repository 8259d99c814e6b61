"""Batch normalisation as part of the layer before it, computed in float64.

Statistics are the worst numbers for few bits: variances of 1e-6 are denormal in float16. What
they do to a layer, a factor and a shift for each channel, is of ordinary size.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce
from typing import Final, cast

import torch
from torch.fx import GraphModule, Node

_ATEN: Final = torch.ops.aten
_EPS_AT: Final[dict[object, int]] = {
    _ATEN._native_batch_norm_legit_no_training.default: 6,
    _ATEN.batch_norm.default: 7,
}
"""Operator -> which argument is epsilon; the first five are the same."""
_CONVOLUTIONS: Final[dict[object, int | None]] = {
    _ATEN.convolution.default: 6,
    _ATEN.conv2d.default: None,
}
"""Operator -> which argument says that it is transposed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Affine:
    """What a batch normalisation does: ``x * factor + shift``, float64, one of each a channel."""

    factor: torch.Tensor
    shift: torch.Tensor


def fold_batch_norms(module: GraphModule) -> None:
    """Take every batch normalisation with stored statistics out of the graph, in place."""
    graph = module.graph
    for node in list(graph.nodes):
        if node.target not in _EPS_AT:
            continue
        affine = _affine(module, node)
        before = cast(Node, node.args[0])
        if affine is None:
            continue
        with graph.inserting_before(node):
            if _takes_it_in(before):
                result = _in_convolution(module, before, affine)
            else:
                result = _beside(module, node, before, affine)
        _replace(node, result)
    graph.eliminate_dead_code()
    graph.lint()
    module.recompile()


def constant(module: GraphModule, argument: object) -> torch.Tensor | None:
    """The tensor that an argument reads from the module; null for anything else."""
    if not isinstance(argument, Node) or argument.op != "get_attr":
        return None
    value: object = reduce(getattr, str(argument.target).split("."), cast(object, module))
    return value.detach() if isinstance(value, torch.Tensor) else None


def new_constant(module: GraphModule, name: str, value: torch.Tensor) -> Node:
    """A node, at the graph's insertion point, that reads a new tensor of the module."""
    name = name.replace(".", "_")
    module.register_buffer(name, value.contiguous())
    node = module.graph.get_attr(name)
    node.meta["val"] = value
    return node


def _affine(module: GraphModule, node: Node) -> _Affine | None:
    mean, variance = (constant(module, node.args[place]) for place in (3, 4))
    if mean is None or variance is None:
        return None
    weight, bias = (constant(module, node.args[place]) for place in (1, 2))
    factor = torch.rsqrt(variance.double() + cast(float, node.args[_EPS_AT[node.target]]))
    if weight is not None:
        factor = factor * weight.double()
    shift = -mean.double() * factor
    return _Affine(factor=factor, shift=shift if bias is None else shift + bias.double())


def _takes_it_in(node: Node) -> bool:
    if node.target not in _CONVOLUTIONS or len(node.users) != 1:
        return False
    place = _CONVOLUTIONS[node.target]
    return place is None or not node.args[place]


def _in_convolution(module: GraphModule, node: Node, affine: _Affine) -> Node:
    """The convolution of the scaled kernels, at the graph's insertion point."""
    weight = constant(module, node.args[1])
    given = node.args[2] if len(node.args) > 2 else None
    bias = constant(module, given)
    if weight is None or (given is not None and bias is None):
        return _beside(module, node, node, affine)
    kernels = weight.double() * affine.factor.reshape(-1, *[1] * (weight.dim() - 1))
    shift = affine.shift if bias is None else affine.shift + bias.double() * affine.factor
    arguments = (
        node.args[0],
        new_constant(module, f"{node.name}_kernels", kernels.float()),
        new_constant(module, f"{node.name}_shift", shift.float()),
        *node.args[3:],
    )
    folded = module.graph.call_function(node.target, arguments, dict(node.kwargs))  # type: ignore[arg-type]
    folded.meta.update(node.meta)
    return folded


def _beside(module: GraphModule, node: Node, before: Node, affine: _Affine) -> Node:
    shape = (1, -1, *[1] * (cast(torch.Tensor, before.meta["val"]).dim() - 2))
    values = (affine.factor.reshape(shape).float(), affine.shift.reshape(shape).float())
    result = before
    for target, name, value in zip(
        (_ATEN.mul.Tensor, _ATEN.add.Tensor), ("factor", "shift"), values, strict=True
    ):
        operand = new_constant(module, f"{node.name}_{name}", value)
        result = module.graph.call_function(target, (result, operand))
        result.meta["val"] = before.meta["val"]
    return result


def _replace(node: Node, result: Node) -> None:
    for user in list(node.users):
        if user.target is operator.getitem:
            user.replace_all_uses_with(result)
    node.replace_all_uses_with(result)
