"""What a delegate asks of an operator: conditions, each with the sentence that says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.formats.tflite import TfliteOp, TfliteTensor

FLOAT: Final = frozenset({"float32", "float16"})
EIGHT_BIT: Final = frozenset({"int8", "uint8"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """An operator with its tensors. inputs: None where an optional one is absent.

    constant: of each input, whether its values are in the file (or unpacked from the file before
    the first run, as float16 weights are).
    """

    op: TfliteOp
    inputs: tuple[TfliteTensor | None, ...]
    outputs: tuple[TfliteTensor, ...]
    constant: tuple[bool, ...]

    def present(self) -> tuple[TfliteTensor, ...]:
        """The inputs that are there."""
        return tuple(tensor for tensor in self.inputs if tensor is not None)

    def computed(self) -> tuple[TfliteTensor, ...]:
        """The inputs that an operator before this one computes, or that the app fills."""
        pairs = zip(self.inputs, self.constant, strict=True)
        return tuple(tensor for tensor, fixed in pairs if tensor is not None and not fixed)

    def input(self, at: int) -> TfliteTensor | None:
        """One input; None where it is absent."""
        return self.inputs[at] if at < len(self.inputs) else None

    def whole(self, at: int) -> NDArray[np.int64] | None:
        """The whole numbers of a constant input; None where it is none."""
        tensor = self.input(at)
        if tensor is None or not self.constant[at] or tensor.dtype not in ("int32", "int64"):
            return None
        if tensor.data.size % np.dtype(tensor.dtype).itemsize:  # a damaged file's
            return None
        return tensor.data.view(tensor.dtype).astype(np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """says: what is asked, in words. holds: whether a node meets it."""

    says: str
    holds: Callable[[Node], bool]


Rules = tuple[Condition, ...]


def counted(low: int, high: int, noun: str) -> str:
    """1 input; 2 to 4 inputs."""
    number = f"{low}" if low == high else f"{low} to {high}"
    return f"{number} {noun}" if high == 1 else f"{number} {noun}s"


def inputs_between(low: int, high: int) -> Condition:
    """A number of inputs, absent ones included."""
    return Condition(
        says=counted(low, high, "input"), holds=lambda node: low <= len(node.inputs) <= high
    )


def outputs_between(low: int, high: int) -> Condition:
    """A number of outputs."""
    return Condition(
        says=counted(low, high, "output"), holds=lambda node: low <= len(node.outputs) <= high
    )


def constant_inputs(*places: int) -> Condition:
    """Inputs whose values must be in the file, where they are present."""
    shown = " and ".join(str(place) for place in places)
    return Condition(
        says=f"constant input{'s' if len(places) > 1 else ''} {shown}",
        holds=lambda node: all(
            node.input(place) is None or node.constant[place] for place in places
        ),
    )


def rank_between(low: int, high: int, *places: int) -> Condition:
    """The number of dimensions of some inputs."""

    def holds(node: Node) -> bool:
        chosen = (node.input(place) for place in places)
        return all(t is None or low <= len(t.shape) <= high for t in chosen)

    return Condition(says=counted(low, high, "dimension"), holds=holds)


def output_rank_between(low: int, high: int) -> Condition:
    """The number of dimensions of the output, as the file states it."""
    return Condition(
        says=f"an output of {counted(low, high, 'dimension')}, stated in the file",
        holds=lambda node: all(low <= len(tensor.shape) <= high for tensor in node.outputs),
    )


def option_is(name: str, value: int, says: str) -> Condition:
    """A whole-number option."""
    return Condition(says=says, holds=lambda node: node.op.options.number(name) == value)


def fused(allowed: frozenset[int], says: str) -> Condition:
    """The activation that the operator carries (numbers of the schema's enum)."""

    def holds(node: Node) -> bool:
        return node.op.options.number("fusedActivationFunction") in allowed

    return Condition(says=says, holds=holds)


def first_refusal(node: Node, table: dict[str, Rules]) -> str:
    """Why the node is not taken; empty where it is."""
    if node.op.custom:
        return "a custom operator"
    if not node.outputs:
        return "it has no output"
    rules = table.get(node.op.name)
    if rules is None:
        return "not on its list"
    return next((f"needs {rule.says}" for rule in rules if not rule.holds(node)), "")
