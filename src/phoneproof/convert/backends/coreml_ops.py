"""Operators that coremltools does not know: decomposed where torch can, else refused by name."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import Final

from torch._decomp import get_decompositions
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.fx import Node

from phoneproof.core.errors import ConversionFailed, PhoneproofError, Unsupported, first_line
from phoneproof.runtimes.backends.hub import layer_name, place_of

_REWRITES: Final = {
    "grid_sampler_2d": "resize with bilinear or nearest interpolation instead",
    "roll": "cut and concatenate instead",
    "sort": "take the best k (topk) instead",
    "nonzero": "leave the selection to the app: give scores, and choose there",
    "unique": "leave it to the app",
}
"""What avoids an operator, where something does."""


def without_unknown_ops(program: ExportedProgram) -> ExportedProgram:
    """The program with operators of coremltools' torch frontend alone.

    Raises:
        Unsupported: operators that neither it knows nor torch can take apart; each with the
            places that use it.
    """
    program = program.run_decompositions({})
    unknown = _unknown(program)
    if unknown:
        overloads = [one.target for one in unknown if isinstance(one.target, OpOverload)]
        program = program.run_decompositions(get_decompositions(overloads))
        unknown = _unknown(program)
    if unknown:
        raise _refusal(unknown)
    for node in program.graph.nodes:
        if isinstance(node.target, OpOverload):
            _fill_in(node, node.target)
    return program


def _fill_in(node: Node, overload: OpOverload) -> None:
    """All arguments in their places, defaults too: torch.export leaves them out, TorchScript, for
    which coremltools' frontend was written, never did (max_pool2d without padding is refused)."""
    schema = [one for one in overload._schema.arguments if not one.kwarg_only]
    rest = schema[len(node.args) :]
    node.args = (*node.args, *(node.kwargs.get(one.name, one.default_value) for one in rest))
    filled = {one.name for one in rest}
    node.kwargs = {name: value for name, value in node.kwargs.items() if name not in filled}


def _unknown(program: ExportedProgram) -> list[Node]:
    from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY

    return [
        node
        for node in program.graph.nodes
        if node.op == "call_function" and _TORCH_OPS_REGISTRY.get_func(_kind(node)) is None
    ]


def _kind(node: Node) -> str:
    target = node.target
    if isinstance(target, OpOverload):
        return f"{target.namespace}::{target._opname}.{target._overloadname}"
    return str(getattr(target, "__name__", target))


def _refusal(unknown: Iterable[Node]) -> Unsupported:
    places: dict[str, list[str]] = {}
    for node in unknown:
        places.setdefault(_plain(_kind(node)), []).append(layer_name(node))
    found = "; ".join(
        f"{op} in {', '.join(where[:3])}" + (f" and {len(where) - 3} more" if where[3:] else "")
        for op, where in places.items()
    )
    hints = [f"{op}: {_REWRITES[op]}" for op in places if op in _REWRITES]
    return Unsupported(
        "Core ML has no form for an operator of the model",
        found=found,
        next_step="; ".join(hints) or "replace these layers in the model by standard ones",
    )


def _plain(kind: str) -> str:
    """``aten::grid_sampler_2d`` -> ``grid_sampler_2d``; variants (``.default``) are left out."""
    return kind.rpartition("::")[2].partition(".")[0]


def mapped_error(error: Exception) -> Exception:
    """What coremltools or torch raised, as one of ours; with the operator where one is known."""
    if isinstance(error, (PhoneproofError, ModuleNotFoundError)):
        return error
    where = _failed_at(error)
    if where is None:
        return ConversionFailed("coremltools broke", found=first_line(error))
    op, place = where
    if isinstance(error, (NotImplementedError, ValueError)):
        return Unsupported(
            f"Core ML has no form for {op} as the model uses it",
            found=f"{place}: {first_line(error)}",
            next_step=_REWRITES.get(op, "replace this layer in the model by a standard one"),
        )
    return ConversionFailed(f"coremltools broke at {op}", found=f"{place}: {first_line(error)}")


def _failed_at(error: Exception) -> tuple[str, str] | None:
    """(operator, place) that was being converted: coremltools says it in a log line alone."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "convert_nodes":
            node = frame.f_locals.get("node")
            if node is not None:
                return _plain(str(node.kind)), place_of(node.meta or {}, str(node.name))
    return None
