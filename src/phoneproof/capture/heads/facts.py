"""What recognition looks at, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from phoneproof.core.binding import Activation, Axis, Box, OutputBinding
from phoneproof.core.capture import Finding, Head
from phoneproof.core.contract import Size, Task
from phoneproof.core.tensors import TensorSpec

PROBABILITIES = ("Softmax", "Sigmoid", "HardSigmoid")
"""Operators that leave values of 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A multiplication or division on the way to a leaf.

    constant: the largest magnitude it multiplies or divides by; None where that is computed.
    """

    op: Literal["Mul", "Div"]
    constant: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """The operator that computes a part of an output, behind reshapes and concatenations.

    width: its size along the axis it is concatenated on, or None. integer: whether it was a
    whole number before it was cast. steps: what scales it, from the output inwards, the leaf's
    own operator included; joins: the operators that are concatenated before those steps.
    """

    op: str
    width: int | None = None
    integer: bool = False
    steps: tuple[Step, ...] = ()
    joins: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputFacts:
    """One output tensor and how the graph makes it.

    exponential: whether an Exp lies between the last convolution and the output.
    largest_constant: of the arithmetic there; None where there is none.
    """

    spec: TensorSpec
    leaves: tuple[Leaf, ...] = ()
    exponential: bool = False
    largest_constant: float | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape for batch 1; -1 where another axis is open."""
        return (1 if self.spec.shape[:1] == (-1,) else self.spec.shape[0], *self.spec.shape[1:])

    @property
    def ops(self) -> tuple[str, ...]:
        """The operator of each leaf."""
        return tuple(leaf.op for leaf in self.leaves)

    @property
    def widths(self) -> tuple[int | None, ...]:
        """The width of each leaf."""
        return tuple(leaf.width for leaf in self.leaves)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFacts:
    """What recognition looks at.

    ultralytics_task: the task recorded in the metadata of an Ultralytics export, "" without.
    """

    outputs: tuple[OutputFacts, ...]
    size: Size | None
    ultralytics_task: str = ""
    nms_inside: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadGuess:
    """A head, the task it serves and the family and preset that it implies ("" for none)."""

    task: Task
    head: Head
    family: str = ""
    preset: str = ""
    findings: tuple[Finding, ...] = ()


def found(key: str, value: str, reason: str) -> Finding:
    """A finding of recognition."""
    return Finding(key=key, value=value, reason=reason)


def part(
    output: OutputFacts,
    role: Literal["boxes", "scores", "objectness", "classes", "dfl"],
    axes: tuple[Axis, ...],
    cut: tuple[int, int] | None = None,
    *,
    box: Box | None = None,
    activation: Activation = "none",
    level: int | None = None,
) -> OutputBinding:
    """One role carried by an output or by a slice of it."""
    return OutputBinding(
        tensor=output.spec.name,
        role=role,
        shape=output.shape,
        axes=axes,
        slice=cut,
        box=box,
        activation=activation,
        level=level,
        dtype=output.spec.dtype,
    )
