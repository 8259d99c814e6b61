"""Functional ATen operators back to those that eager code calls, value for value.

Hub programs hold what tracing leaves (``aten._softmax``, ``aten.upsample_nearest2d.default``).
The TorchScript ONNX exporter knows only the eager names; litert-torch turns only the eager resize
into TFLite's RESIZE operators and writes GATHER_ND for the other, which phones run slowly.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Final

import torch
from torch.fx import Graph, Node
from torch.fx.node import Argument

aten: Final = torch.ops.aten
Rule = Callable[[Graph, tuple[Argument, ...]], Node]


def to_eager_ops(module: torch.fx.GraphModule) -> None:
    """Replace, in place, every operator that `RULES` has a rule for."""
    graph = module.graph
    for node in list(graph.nodes):
        rule = RULES.get(node.target) if node.op == "call_function" else None
        if rule is None:
            continue
        with graph.inserting_before(node):
            replacement = rule(graph, all_arguments(node))
        _replace(node, replacement)
    graph.eliminate_dead_code()
    graph.lint()
    module.recompile()


def all_arguments(node: Node) -> tuple[Argument, ...]:
    """Positional arguments in the schema's order, defaults filled in."""
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    given = dict(zip((argument.name for argument in schema), node.args, strict=False))
    given.update(node.kwargs)
    return tuple(given.get(argument.name, argument.default_value) for argument in schema)


def _replace(node: Node, replacement: Node) -> None:
    firsts = [user for user in node.users if _is_first(user)]
    if not firsts:
        node.replace_all_uses_with(replacement)
        return
    # The old operator returned a tuple of which inference needs the first element only.
    for user in firsts:
        user.replace_all_uses_with(replacement)


def _is_first(user: Node) -> bool:
    return user.target is operator.getitem and user.args[1:] == (0,)


def _softmax(graph: Graph, args: tuple[Argument, ...]) -> Node:
    return graph.call_function(aten.softmax.int, (args[0], args[1]))


def _log_softmax(graph: Graph, args: tuple[Argument, ...]) -> Node:
    return graph.call_function(aten.log_softmax.int, (args[0], args[1]))


def _nearest(graph: Graph, args: tuple[Argument, ...]) -> Node:
    image, size, *scales = args
    return graph.call_function(aten.upsample_nearest2d.vec, (image, *_size(size, scales)))


def _bilinear(graph: Graph, args: tuple[Argument, ...]) -> Node:
    image, size, corners, *scales = args
    wanted, factors = _size(size, scales)
    return graph.call_function(aten.upsample_bilinear2d.vec, (image, wanted, corners, factors))


def _size(size: Argument, scales: list[Argument]) -> tuple[Argument, Argument]:
    """(size, None) or (None, scale factors): the combined form takes exactly one."""
    return (size, None) if None in scales else (None, scales)


def _batch_norm(graph: Graph, args: tuple[Argument, ...]) -> Node:
    image, weight, bias, mean, variance, momentum, eps = args
    return graph.call_function(
        aten.batch_norm.default,
        (image, weight, bias, mean, variance, False, momentum, eps, False),
    )


def _group_norm(graph: Graph, args: tuple[Argument, ...]) -> Node:
    image, weight, bias, _n, _c, _area, groups, eps = args
    return graph.call_function(aten.group_norm.default, (image, groups, weight, bias, eps, False))


def _cast(graph: Graph, args: tuple[Argument, ...]) -> Node:
    value, dtype, *_ = args
    if dtype is None:
        return graph.call_function(aten.clone.default, (value,))
    return graph.call_function(aten.to.dtype, (value, dtype))


def _renamed(target: torch._ops.OpOverload) -> Rule:
    """The rule for an operator whose eager form takes the same arguments."""
    return lambda graph, args: graph.call_function(target, args)


RULES: Final[dict[object, Rule]] = {
    aten._softmax.default: _softmax,
    aten._log_softmax.default: _log_softmax,
    aten.upsample_nearest2d.default: _nearest,
    aten.upsample_bilinear2d.default: _bilinear,
    aten._native_batch_norm_legit_no_training.default: _batch_norm,
    aten.native_group_norm.default: _group_norm,
    aten._to_copy.default: _cast,
    aten._adaptive_avg_pool2d.default: _renamed(aten.adaptive_avg_pool2d.default),
    # A view needs the strides it was traced with; behind an NHWC input convolutions give others.
    aten._unsafe_view.default: _renamed(aten.reshape.default),
    aten.view.default: _renamed(aten.reshape.default),
    aten.grid_sampler_2d.default: _renamed(aten.grid_sampler.default),
}
