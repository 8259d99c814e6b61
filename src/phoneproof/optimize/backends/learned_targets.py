"""What the rounded network is measured against while it learns: the float network's own tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from phoneproof.core.binding import Binding
from phoneproof.core.recipe import Static
from phoneproof.formats.tflite import TfliteGraph
from phoneproof.optimize.backends.tflite_plan import plan_ops
from phoneproof.optimize.range_methods import SCORE_FLOOR

_SQUASHING: Final = {"LOGISTIC": torch.sigmoid, "SOFTMAX": lambda x: torch.softmax(x, -1)}
_MOVING: Final = ("RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS")
_LEAST_POWER: Final = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One tensor in which the two networks shall agree. squashed: the operator that turns it into
    probabilities, whose results shall agree too; "" for others. floor: values below count as it.
    """

    tensor: str
    squashed: str = ""
    floor: float = -math.inf


def border(graph: TfliteGraph, recipe: Static) -> tuple[Target, ...]:
    """The last rounded tensors: what float operators or the caller read of the integer part.

    Where the integer part ends with a sigmoid or a softmax, the logits before it: a saturated
    probability has no gradient.
    """
    kinds = dict(plan_ops(graph, recipe).ops)
    makers = {i: (p, op) for p, op in enumerate(graph.ops) for i in op.outputs}
    results = {index for _, index in graph.signature_outputs} or set(graph.outputs)
    behind = _last_float(graph, frozenset(kinds))
    read_as_float = {index for position in behind for index in graph.ops[position].inputs}
    found: dict[int, str] = {}
    for index in sorted(results | read_as_float):
        position, op = makers.get(index, (-1, None))
        if op is None or position not in kinds:
            continue
        squashed = ""
        while op.name in _MOVING or op.name in _SQUASHING:
            inner = makers.get(op.inputs[0])
            if inner is None or inner[0] not in kinds:
                break
            squashed = op.name if op.name in _SQUASHING else squashed
            index, op = op.inputs[0], inner[1]
        found[index] = squashed or found.get(index, "") or _squashed_later(graph, index)
    return tuple(
        Target(tensor=graph.tensors[index].name, squashed=squashed)
        for index, squashed in sorted(found.items())
    )


def as_the_app_reads(targets: tuple[Target, ...], binding: Binding) -> tuple[Target, ...]:
    """The same, where the binding leaves the sigmoid of scores to the app.

    Logits below `SCORE_FLOOR` are background, however far below.
    """
    scores = {
        one.tensor
        for one in binding.outputs
        if one.activation == "sigmoid" and one.role in ("scores", "objectness")
    }
    return tuple(
        replace(one, squashed="LOGISTIC", floor=SCORE_FLOOR) if one.tensor in scores else one
        for one in targets
    )


def _last_float(graph: TfliteGraph, rounded: frozenset[int]) -> frozenset[int]:
    """Positions of the float operators that no rounded one lies behind."""
    leads_on: set[int] = set()  # tensors that a rounded operator depends on
    found = set()
    for position in range(len(graph.ops) - 1, -1, -1):
        op = graph.ops[position]
        if position in rounded or leads_on & set(op.outputs):
            leads_on |= set(op.inputs)
        else:
            found.add(position)
    return frozenset(found)


def _squashed_later(graph: TfliteGraph, index: int) -> str:
    readers = [op.name for op in graph.ops if index in op.inputs]
    return readers[0] if len(readers) == 1 and readers[0] in _SQUASHING else ""


def cut(graph: TfliteGraph, targets: tuple[Target, ...]) -> TfliteGraph:
    """The part of a graph that `targets` depend on, with them as its results.

    Operators keep their order but not their positions.
    """
    by_name = {tensor.name: index for index, tensor in enumerate(graph.tensors)}
    results = tuple((target.tensor, by_name[target.tensor]) for target in targets)
    wanted = {index for _, index in results}
    kept = []
    for op in reversed(graph.ops):
        if wanted & set(op.outputs):
            kept.append(op)
            wanted |= set(op.inputs)
    return replace(
        graph,
        ops=tuple(reversed(kept)),
        outputs=tuple(index for _, index in results),
        signature_outputs=results,
    )


class Loss:
    """Noise power relative to signal power, the mean over the targets.

    The signal power of a tensor is the float network's variance over all images, so that an
    image with little in it does not count more than others.
    """

    def __init__(self, targets: tuple[Target, ...], wanted: tuple[Mapping[str, Tensor], ...]):
        self._targets = targets
        self._power = {
            (target.tensor, squashed): _power([_view(one, target, squashed) for one in wanted])
            for target in targets
            for squashed in _views(target)
        }

    def __call__(self, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Tensor:
        """For one image."""
        parts = [
            torch.mean((_view(found, target, kind) - _view(wanted, target, kind)) ** 2)
            / self._power[target.tensor, kind]
            for target in self._targets
            for kind in _views(target)
        ]
        return torch.stack(parts).mean()


def _views(target: Target) -> tuple[str, ...]:
    return ("", target.squashed) if target.squashed else ("",)


def _view(values: Mapping[str, Tensor], target: Target, squashed: str) -> Tensor:
    tensor = torch.clamp(values[target.tensor], min=target.floor)
    return _SQUASHING[squashed](tensor) if squashed else tensor


def _power(values: list[Tensor]) -> float:
    count = sum(one.numel() for one in values)
    mean = sum(float(one.sum()) for one in values) / count
    power = sum(float(((one - mean) ** 2).sum()) for one in values) / count
    return max(power, _LEAST_POWER)
