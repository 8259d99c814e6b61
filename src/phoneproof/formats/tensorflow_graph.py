"""TensorFlow graphs as plain records; TensorFlow itself is not needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorflow.core.framework.attr_value_pb2 import AttrValue
    from tensorflow.core.framework.function_pb2 import FunctionDef
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto

MAIN = "the main graph"


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One operation. inputs: "node:output"; controls: nodes it waits for; functions: it names.

    attributes: as the protocol buffer holds them.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    controls: tuple[str, ...]
    functions: tuple[str, ...]
    attributes: Mapping[str, AttrValue]


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """The main graph, or one function with its arguments and what it returns, in order."""

    name: str
    nodes: Mapping[str, Node]
    arguments: tuple[str, ...] = ()
    results: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A main graph and its function library."""

    main: Graph
    functions: Mapping[str, Graph] = field(default_factory=dict)

    def graphs(self) -> Iterator[Graph]:
        """The main graph, then every function."""
        yield self.main
        yield from self.functions.values()


def program_of(graph: GraphDef) -> Program:
    """The graph and its library, as plain records."""
    names = frozenset(f.signature.name for f in graph.library.function)
    return Program(
        main=Graph(name=MAIN, nodes=_nodes(graph.node, names)),
        functions={f.signature.name: _function(f, names) for f in graph.library.function},
    )


def base(reference: str) -> str:
    """The node of "node:output", "node:name:index" or "^node"."""
    return reference.lstrip("^").partition(":")[0]


def output_index(reference: str) -> int:
    """Which output "node", "node:1" or "node:output:1" names."""
    last = reference.rpartition(":")[2]
    return int(last) if ":" in reference and last.isdigit() else 0


def shape_of(shape: TensorShapeProto) -> tuple[int, ...] | None:
    """Sides, -1 where open; None where even the rank is."""
    return None if shape.unknown_rank else tuple(int(dim.size) for dim in shape.dim)


def _function(function: FunctionDef, names: frozenset[str]) -> Graph:
    return Graph(
        name=f"function {function.signature.name}",
        nodes=_nodes(function.node_def, names),
        arguments=tuple(argument.name for argument in function.signature.input_arg),
        results=tuple(
            function.ret.get(result.name, "") for result in function.signature.output_arg
        ),
    )


def _nodes(nodes: Iterable[NodeDef], functions: frozenset[str]) -> dict[str, Node]:
    return {node.name: _node(node, functions) for node in nodes}


def _node(node: NodeDef, functions: frozenset[str]) -> Node:
    named = [value.func.name for value in node.attr.values() if value.HasField("func")]
    named += [f.name for value in node.attr.values() for f in value.list.func]
    if node.op in functions:
        named.append(node.op)  # TensorFlow 1 calls a function by using it as an operation
    return Node(
        name=node.name,
        op=node.op,
        inputs=tuple(name for name in node.input if not name.startswith("^")),
        controls=tuple(base(name) for name in node.input if name.startswith("^")),
        functions=tuple(named),
        attributes=node.attr,
    )
