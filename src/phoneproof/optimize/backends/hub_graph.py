"""A hub program as a graph that can be cut: taken out of its archive, changed, exported again."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node
from torch.fx.graph import CodeGen

from phoneproof.core.errors import OptimizationFailed, first_line

Values = Mapping[Node, torch.Tensor]


def graph_of(program: ExportedProgram) -> GraphModule:
    """The program as a module that takes one tensor and returns a tuple; weights are shared."""
    exported = program.module(check_guards=False)
    module = GraphModule(exported, exported.graph)
    module.graph.set_codegen(CodeGen())
    results = output_nodes(module)
    output_node(module).args = (results,)
    module.recompile()
    return module


def output_node(module: GraphModule) -> Node:
    """The node that returns."""
    node: Node = next(node for node in module.graph.nodes if node.op == "output")
    return node


def output_nodes(module: GraphModule) -> tuple[Node, ...]:
    """What the module returns, in order.

    Raises:
        OptimizationFailed: outputs in containers.
    """
    (results,) = output_node(module).args
    nodes = tuple(results) if isinstance(results, (list, tuple)) else (results,)
    found = tuple(node for node in nodes if isinstance(node, Node))
    if len(found) != len(nodes):
        raise OptimizationFailed("the hub program returns something else than tensors")
    return found


def shape_of(node: Node) -> tuple[int, ...]:
    """The static shape of a node's value; () where it has none."""
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, torch.Tensor) else ()


def between(module: GraphModule, first: Sequence[Node], last: Sequence[Node]) -> GraphModule:
    """The part of a graph that computes `last` from the values of `first` and constants.

    Raises:
        OptimizationFailed: it needs the image as well.
    """
    graph, copies = Graph(), {}
    for place, node in enumerate(first):
        copies[node] = graph.placeholder(f"layer_{place}")
    wanted = ancestors(last, stop=frozenset(first))
    for node in module.graph.nodes:
        if node in wanted and node not in copies:
            if node.op == "placeholder":
                raise OptimizationFailed(
                    "the outputs need the image itself, behind the last layers with weights"
                )
            copies[node] = graph.node_copy(node, lambda old: copies[old])
    graph.output(tuple(copies[node] for node in last))
    return GraphModule(module, graph)


def ancestors(nodes: Sequence[Node], *, stop: frozenset[Node] = frozenset()) -> set[Node]:
    """The nodes and everything they are computed from, not looking behind those of `stop`."""
    found: set[Node] = set()
    queue = list(nodes)
    while queue:
        node = queue.pop()
        if node not in found:
            found.add(node)
            queue += [] if node in stop else node.all_input_nodes
    return found


def exported(
    module: GraphModule, results: Sequence[Node], shape: tuple[int, ...]
) -> ExportedProgram:
    """The program that returns `results`; what they do not need is left out.

    Raises:
        OptimizationFailed: torch.export refuses the graph.
    """
    output_node(module).args = (tuple(results),)
    module.graph.eliminate_dead_code()
    module.graph.lint()
    # A new module takes over only the weights that are left.
    pruned = GraphModule(module, module.graph)
    for parameter in pruned.parameters():
        parameter.requires_grad_(False)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the exporter's own imports
            return torch.export.export(pruned, (torch.zeros(shape),), strict=False)
    except Exception as error:  # torch raises many unrelated classes here
        raise OptimizationFailed(
            "PyTorch could not export the changed program",
            found=f"{type(error).__name__}: {first_line(error)}",
        ) from error
