"""What a phone's delegates make of a TFLite file, without a phone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

from phoneproof.core.optimization import PhoneCost, PhoneOp
from phoneproof.formats.delegates import gpu, xnnpack
from phoneproof.formats.delegates.partitions import partitions
from phoneproof.formats.delegates.rewrites import rewrite_for
from phoneproof.formats.delegates.rules import Node, first_refusal
from phoneproof.formats.tflite import TfliteGraph

_OUTSIDE: Final = (
    "it takes it, but not here: by default only the largest piece of the graph goes to the GPU"
)
_INTEGERS: Final = frozenset({"int8", "uint8", "int16"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Delegation:
    """Of each operator: whether the delegate runs it, and why not (empty where it does).

    pieces: how many the graph falls into, the CPU's counted, as TFLite's log counts them.
    """

    taken: tuple[bool, ...]
    reasons: tuple[str, ...]
    pieces: int


def phone_cost(graph: TfliteGraph) -> tuple[PhoneCost, ...]:
    """The main subgraph on XNNPACK (CPU) and on the GPU delegate, by their published rules.

    taken counts operators, not time: an operator that is left costs a copy to the CPU and back,
    and on the GPU a stop of everything that waits for it.
    """
    return tuple(_cost(graph, name) for name in ("xnnpack", "gpu"))


def _cost(graph: TfliteGraph, name: Literal["xnnpack", "gpu"]) -> PhoneCost:
    found = xnnpack_delegation(graph) if name == "xnnpack" else gpu_delegation(graph)
    return PhoneCost(
        delegate=name,
        taken=sum(found.taken) / len(found.taken) if found.taken else 1.0,
        partitions=found.pieces,
        left=_left(graph, found),
        source=xnnpack.SOURCE if name == "xnnpack" else gpu.SOURCE,
    )


def _left(graph: TfliteGraph, found: Delegation) -> tuple[PhoneOp, ...]:
    counts: Counter[tuple[str, str, bool]] = Counter()
    for op, reason in zip(graph.ops, found.reasons, strict=True):
        if reason:
            types = {graph.tensors[i].dtype for i in op.outputs if i >= 0}
            counts[op.name, reason, bool(types & _INTEGERS)] += 1
    ranked = sorted(counts.items(), key=lambda item: (item[0][1] == _OUTSIDE, -item[1], item[0]))
    return tuple(
        PhoneOp(
            op=op,
            count=count,
            reason=reason,
            rewrite="" if reason == _OUTSIDE else rewrite_for(op, reason, quantized=quantized),
        )
        for (op, reason, quantized), count in ranked
    )


def xnnpack_delegation(graph: TfliteGraph) -> Delegation:
    """What XNNPACK runs. Weights that a DEQUANTIZE unpacks are unpacked once, before the first
    run; such an operator is the delegate's exactly when all that read it are.
    """
    unpacking = _unpacking(graph, ("float16", "int8"))
    fixed = _constants(graph) | {graph.ops[index].outputs[0] for index in unpacking}
    reasons = [
        "" if index in unpacking else first_refusal(_node(graph, index, fixed), xnnpack.TABLE)
        for index in range(len(graph.ops))
    ]
    for index in unpacking:
        output = graph.ops[index].outputs[0]
        readers = [at for at, op in enumerate(graph.ops) if output in op.inputs]
        if any(reasons[at] for at in readers) or output in graph.outputs:
            reasons[index] = "its values are read by an operator that is not taken"
    taken = tuple(not reason for reason in reasons)
    return Delegation(
        taken=taken, reasons=tuple(reasons), pieces=len(partitions(graph, taken)) or 1
    )


def gpu_delegation(graph: TfliteGraph) -> Delegation:
    """What the GPU runs: of all it could take, the largest connected piece (its default)."""
    unpacking = _unpacking(graph, ("float16",))
    fixed = _constants(graph) | {graph.ops[index].outputs[0] for index in unpacking}
    table = {name: gpu.EVERY + rules for name, rules in gpu.TABLE.items()}
    reasons = [
        "" if index in unpacking else first_refusal(_node(graph, index, fixed), table)
        for index in range(len(graph.ops))
    ]
    pieces = partitions(graph, [not reason for reason in reasons])
    largest = max((ops for mine, ops in pieces if mine), key=len, default=())
    kept = frozenset(largest) | unpacking
    taken = tuple(index in kept for index in range(len(graph.ops)))
    return Delegation(
        taken=taken,
        reasons=tuple(
            reason or ("" if mine else _OUTSIDE)
            for reason, mine in zip(reasons, taken, strict=True)
        ),
        pieces=len(pieces) or 1,
    )


def _constants(graph: TfliteGraph) -> frozenset[int]:
    return frozenset(i for i, tensor in enumerate(graph.tensors) if tensor.data.size)


def _unpacking(graph: TfliteGraph, types: tuple[str, ...]) -> frozenset[int]:
    """The operators that only expand stored weights to float32."""
    found = set()
    for index, op in enumerate(graph.ops):
        if op.name == "DEQUANTIZE" and len(op.inputs) == 1 and op.inputs[0] >= 0:
            source = graph.tensors[op.inputs[0]]
            if source.data.size and source.dtype in types and not source.sparse:
                found.add(index)
    return frozenset(found)


def _node(graph: TfliteGraph, index: int, fixed: frozenset[int]) -> Node:
    op = graph.ops[index]
    return Node(
        op=op,
        inputs=tuple(graph.tensors[i] if i >= 0 else None for i in op.inputs),
        outputs=tuple(graph.tensors[i] for i in op.outputs if i >= 0),
        constant=tuple(i in fixed for i in op.inputs),
    )
