"""What a TensorFlow graph would do beyond computing, decided before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.tensorflow_graph import MAIN, Graph, Node, Program, base, program_of
from phoneproof.formats.tensorflow_ops import ALLOWED, RESTORING, SAVING, reaches_outside

if TYPE_CHECKING:
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

_CUSTOM_CALL = b"custom_call"
"""How StableHLO names a call into its host: Python callbacks, among others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Saver:
    """Where a SavedModel keeps its own saving and restoring.

    Nodes of the main graph: what saves, what restores, and the one whose value the loader
    replaces by the path of the variables.
    """

    save: str = ""
    restore: str = ""
    filename: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """Operations by what reaches them: only the saver's save, only its restore, anything else."""

    computing: frozenset[str] = ALLOWED
    saving: frozenset[str] = ALLOWED | SAVING
    restoring: frozenset[str] = ALLOWED | RESTORING


@dataclass(frozen=True, kw_only=True, slots=True)
class _Region:
    """Nodes of the main graph and functions that something reaches."""

    nodes: frozenset[str]
    functions: frozenset[str]


def refuse_meta_graph(name: str, graph: MetaGraphDef, allowance: Allowance | None = None) -> None:
    """`refuse_what_reaches_outside` for one graph of a SavedModel, with all that may start it.

    Besides signatures and collections that is every function which an object names: loaders
    look it up in the library, listed as a concrete function or not.
    """
    objects = graph.object_graph_def
    roots = [
        info.name
        for signature in graph.signature_def.values()
        for info in (*signature.inputs.values(), *signature.outputs.values())
    ]
    roots += [value for items in graph.collection_def.values() for value in items.node_list.value]
    functions = [*objects.concrete_functions]
    for one in objects.nodes:
        functions += [*one.function.concrete_functions]
        functions.append(one.bare_concrete_function.concrete_function_name)
    refuse_what_reaches_outside(
        name,
        program_of(graph.graph_def),
        Saver(
            save=graph.saver_def.save_tensor_name,
            restore=graph.saver_def.restore_op_name,
            filename=graph.saver_def.filename_tensor_name,
        ),
        roots,
        functions,
        allowance or Allowance(),
    )


def refuse_what_reaches_outside(
    name: str,
    program: Program,
    saver: Saver,
    roots: Iterable[str],
    functions: Iterable[str],
    allowance: Allowance,
) -> None:
    """Every operation of the main graph and of every function must be one that only computes.

    Args:
        name: of the file, for messages. roots: nodes of the main graph that loading or a
            signature runs. functions: those that loading or a signature calls by name.

    Raises:
        InvalidInput: an operation that reads or writes files, runs Python or leaves the process.
        Unsupported: an operation that is not known to be harmless.
    """
    restoring = _reach(program, (saver.restore,), ())
    saving = _reach(program, (saver.save,), ())
    loose = program.functions.keys() - restoring.functions - saving.functions
    computing = _reach(program, roots, (*functions, *loose))
    unknown: list[str] = []
    for graph in program.graphs():
        for node in graph.nodes.values():
            allowed = allowance.computing
            if not _within(computing, graph, node):
                if _within(restoring, graph, node):
                    allowed = allowance.restoring
                elif _within(saving, graph, node):
                    allowed = allowance.saving
            if not _is_known(name, program, graph, node, allowed):
                unknown.append(f"{node.op} {node.name!r} in {graph.name}")
            if node.op in RESTORING:
                _require_loaders_path(name, graph, node, saver)
    if unknown:  # told after everything worse
        raise Unsupported(
            f"{name} holds an operation that is not known to be harmless",
            found=unknown[0],
            next_step="export the part of the model from the image to its float outputs, without "
            "text, tables, random numbers or operations of your own",
        )


def _within(region: _Region, graph: Graph, node: Node) -> bool:
    if graph.name == MAIN:
        return node.name in region.nodes
    return graph.name.removeprefix("function ") in region.functions


def _reach(program: Program, roots: Iterable[str], functions: Iterable[str]) -> _Region:
    """Everything upstream of `roots`, with the functions called there and by those."""
    nodes: set[str] = set()
    waiting = [base(root) for root in roots]
    called = list(functions)
    while waiting:
        node = program.main.nodes.get(waiting.pop())
        if node is None or node.name in nodes:
            continue
        nodes.add(node.name)
        called.extend(node.functions)
        waiting.extend([*map(base, node.inputs), *node.controls])
    found: set[str] = set()
    while called:
        name = called.pop()
        if name in found or name not in program.functions:
            continue
        found.add(name)
        for node in program.functions[name].nodes.values():
            called.extend(node.functions)
    return _Region(nodes=frozenset(nodes), functions=frozenset(found))


def _is_known(
    name: str, program: Program, graph: Graph, node: Node, allowed: frozenset[str]
) -> bool:
    """Whether the operation may stay; raises where it reaches outside."""
    if node.op == "XlaCallModule":
        _refuse_callbacks(name, graph, node)
    is_call = node.op in program.functions and not reaches_outside(node.op)
    if node.op in allowed or is_call:
        return True
    where = f"{node.op} {node.name!r} in {graph.name}"
    if reaches_outside(node.op) or _prints_to_file(node):
        raise InvalidInput(
            f"{name} would reach outside itself: it reads or writes files, runs Python or "
            "leaves the process",
            found=where,
            next_step="do not trust this file; export the part of the model that only computes "
            "from pixels",
        )
    return False


def _prints_to_file(node: Node) -> bool:
    stream = node.attributes.get("output_stream")
    return node.op == "PrintV2" and stream is not None and stream.s.startswith(b"file:")


def _refuse_callbacks(name: str, graph: Graph, node: Node) -> None:
    module = node.attributes.get("module")
    body = module.s if module is not None else b""
    if _CUSTOM_CALL in body or node.functions:
        raise InvalidInput(
            f"{name} holds a compiled module that calls back into its host",
            found=f"XlaCallModule {node.name!r} in {graph.name}",
            next_step="export the model without host callbacks and debugging prints",
        )


def _require_loaders_path(name: str, graph: Graph, node: Node, saver: Saver) -> None:
    """A restore reads the path that the loader hands in, not one of its own."""
    source, steps = base(node.inputs[0]) if node.inputs else "", 0
    while source in graph.nodes and graph.nodes[source].op == "Identity" and steps < 64:
        source, steps = base(graph.nodes[source].inputs[0]), steps + 1
    if source in graph.arguments:
        return
    if graph.name == MAIN and source and source == base(saver.filename):
        return
    raise InvalidInput(
        f"{name} would restore variables from a path of its own",
        found=f"{node.op} {node.name!r} in {graph.name}",
        next_step="do not trust this file; save the model again",
    )
