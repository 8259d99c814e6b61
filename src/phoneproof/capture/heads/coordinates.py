"""What four decoded coordinates are, from the arithmetic that makes them."""

from __future__ import annotations

from typing import Final, Literal

from phoneproof.capture.heads.facts import Leaf, OutputFacts, Step
from phoneproof.core.binding import Box

_FRACTION_LIMIT: Final = 2.0
"""Box arithmetic of fractions knows priors in 0..1, variances and the 2 that halves a side; in
pixels it knows image sides or strides of at least 4."""
_IMAGE_SIDE: Final = 32.0
"""No image is smaller, no stride, variance or anchor scale is divided by as much at the end."""

Format = Literal["xyxy", "cxcywh"]
Units = Literal["pixels", "fraction"]


def coordinates(leaves: tuple[Leaf, ...], output: OutputFacts) -> tuple[Box, str] | None:
    """The box that the leaves of four coordinates describe, and why; None where they do not.

    Corners are a centre (or a cell) minus something beside it plus something; a centre with its
    sides is half of a sum beside a difference, or a shifted cell beside a scaled size.
    """
    steps: tuple[Step, ...] = ()
    ops = tuple(leaf.op for leaf in leaves)
    if len(leaves) == 1:
        steps, ops = leaves[0].steps, leaves[0].joins
    named = _FORMATS.get(ops)
    if named is None:
        return None
    units, why = units_of(steps, output)
    reason = f"the graph joins {' and '.join(ops)}: {_WORDS[named]}; {why}"
    return Box(format=named, units=units), reason


def units_of(steps: tuple[Step, ...], output: OutputFacts) -> tuple[Units, str]:
    """Fractions of the image or pixels, by the last scaling, else by the largest constant."""
    for step in steps:
        if step.constant is None:
            continue
        if step.op == "Div" and step.constant >= _IMAGE_SIDE:
            return "fraction", f"divided by {step.constant:g} at the end"
        if step.op == "Mul" and step.constant <= 1 / _IMAGE_SIDE:
            return "fraction", f"multiplied by {step.constant:g} at the end"
    largest = output.largest_constant or 0.0
    is_fraction = largest <= _FRACTION_LIMIT
    return "fraction" if is_fraction else "pixels", f"its largest constant is {largest:g}"


_WORDS: Final[dict[Format, str]] = {
    "xyxy": "corners",
    "cxcywh": "centre and sides",
}
_FORMATS: Final[dict[tuple[str, ...], Format]] = {
    ("Sub", "Add"): "xyxy",
    ("Sub", "Sub", "Add", "Add"): "xyxy",
    ("Div", "Sub"): "cxcywh",
    ("Mul", "Sub"): "cxcywh",
    ("Add", "Mul"): "cxcywh",
    ("Mul", "Mul"): "cxcywh",
}
