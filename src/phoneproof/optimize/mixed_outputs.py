"""Which output tensors carry roles that one int8 scale cannot hold; figures and words for it."""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from phoneproof.core.binding import Binding, GridAnchors, OutputBinding, PriorAnchors, YoloAnchors
from phoneproof.core.errors import InvalidInput
from phoneproof.core.recipe import RangeMethod, Ranges, TensorRange

SCORE_STEP: Final = 1 / 128
"""Of a probability: half a percent to either side is what a threshold of two digits can bear."""
BOX_STEP: Final = 1 / 512
"""Of the input's longer side: 1.25 pixels of 640, below what mAP at an IoU of .95 sees."""
_STEPS: Final = 255
"""Between the lowest and the highest of the 256 values of int8."""
_STEEPEST: Final = 0.25
"""Of the sigmoid, of a softmax, and of the expectation over two neighbouring bins."""


class RoleStep(msgspec.Struct, frozen=True, kw_only=True):
    """One role on a shared scale. step, needed: in `unit`, where a step of the scale shows most."""

    role: str
    step: float
    needed: float
    unit: Literal["pixels", "probability"]

    @property
    def enough(self) -> bool:
        """Whether the role is resolved as finely as it needs."""
        return self.step <= self.needed


class MixedOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor whose int8 scale, `step` a unit, is too coarse for one of its several roles."""

    tensor: str
    low: float
    high: float
    step: float
    roles: tuple[RoleStep, ...]

    def __str__(self) -> str:
        """A sentence for the report."""
        held = " and ".join(role.role for role in self.roles)
        lost = ", ".join(
            f"{role.role} move in steps of {role.step:.2g} {role.unit} (needed: {role.needed:.2g})"
            for role in self.roles
            if not role.enough
        )
        return (
            f"output {self.tensor!r} holds {held} on one scale from {self.low:.4g} to "
            f"{self.high:.4g}: {lost}"
        )


def mixed_outputs(
    binding: Binding, ranges: Ranges, *, method: RangeMethod = "min_max"
) -> tuple[MixedOutput, ...]:
    """The outputs that int8 would ruin because several roles share their scale.

    Tensors without a range, and roles that are no boxes or scores, are left out.

    Args:
        binding: of the float32 file. ranges: ``ranges.json`` of it.

    Raises:
        InvalidInput: no ranges by that method, or one that is no range.
    """
    found = ranges.of(method)
    if found is None:
        raise InvalidInput(
            f"there are no ranges by the method {method}",
            found=", ".join(one.method for one in ranges.methods) or "no method",
        )
    by_name = {one.tensor: one for one in found}
    return tuple(
        mixed
        for name in binding.tensors
        if name in by_name and (mixed := _mixed(binding, by_name[name])) is not None
    )


def _mixed(binding: Binding, held: TensorRange) -> MixedOutput | None:
    if not (math.isfinite(held.low) and math.isfinite(held.high) and held.low <= held.high):
        raise InvalidInput(
            f"the range of tensor {held.tensor!r} is none", found=f"{held.low} to {held.high}"
        )
    # int8 holds zero exactly, so a scale reaches from below it to above it.
    step = (max(held.high, 0.0) - min(held.low, 0.0)) / _STEPS
    outputs = [output for output in binding.outputs if output.tensor == held.tensor]
    roles = tuple(
        entry for output in outputs if (entry := _role_step(binding, output, step)) is not None
    )
    if len(roles) < 2 or all(role.enough for role in roles):
        return None
    return MixedOutput(tensor=held.tensor, low=held.low, high=held.high, step=step, roles=roles)


def _role_step(binding: Binding, output: OutputBinding, step: float) -> RoleStep | None:
    slope = 1.0 if output.activation == "none" else _STEEPEST
    if output.role in ("scores", "objectness"):
        return RoleStep(role=output.role, step=step * slope, needed=SCORE_STEP, unit="probability")
    side = max(_input_sides(binding))
    if output.role == "dfl":
        pixels = _STEEPEST * max(_strides(binding))
    elif output.role == "boxes" and output.box is not None:
        pixels = slope * _pixels_a_unit(binding, output, side)
    else:
        return None
    return RoleStep(role=output.role, step=step * pixels, needed=BOX_STEP * side, unit="pixels")


def _pixels_a_unit(binding: Binding, output: OutputBinding, side: int) -> float:
    """How far a coordinate moves, in pixels, when its value moves by one.

    Sides that are exponents are left out: their error grows with the box that they make.
    """
    anchors, box = binding.anchors, output.box
    assert box is not None
    if isinstance(anchors, YoloAnchors):
        # Centres (2t - .5) * stride; corners by half of sides (2t)^2 * wh, whose slope at the
        # middle of the sigmoid is 4 wh.
        longest = max(max(pair) for level in anchors.wh for pair in level)
        return max(2.0 * max(anchors.strides), 2.0 * longest)
    if isinstance(anchors, PriorAnchors):
        return max(box.variances or (1.0,)) * (side if box.units == "fraction" else 1.0)
    if isinstance(anchors, GridAnchors) or box.units == "stride":
        return float(max(_strides(binding)))
    return float(side) if box.units == "fraction" else 1.0


def _strides(binding: Binding) -> tuple[int, ...]:
    anchors = binding.anchors
    return anchors.strides if isinstance(anchors, GridAnchors | YoloAnchors) else (1,)


def _input_sides(binding: Binding) -> tuple[int, ...]:
    shape = binding.image.shape
    return shape[2:4] if binding.image.layout == "NCHW" else shape[1:3]
