"""Scale, mean and std inside a model file: how near its operators come to the contract's table.

The table holds ``(p * scale - mean) / std`` in float64, rounded once to float32. A phone computes
in float32, one rounding an operator, so values inside a file may differ in the last place. Of
several orders of the same arithmetic the nearest is taken, over all 256 values of every channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.contract import ImageInput

EXACT_ENOUGH: Final = 4.0
"""Largest difference from the table, in units of the last place (float32) of its largest
magnitude. A float16 file rounds these very values 2^13 times as coarsely."""

FLOAT_PIXELS: Final = "TensorFlow's resize gives pixels between whole numbers; an image has none"

PerChannel = NDArray[np.float32]
BakedOp = Literal["sub", "mul"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """What a file does to pixels of 0..255. steps: operators in order, each with float32 [C].

    max_abs: largest difference from the contract's table, in its units. ulp: the same in units of
    the last place of the table's largest magnitude.
    """

    steps: tuple[tuple[BakedOp, PerChannel], ...]
    max_abs: float
    ulp: float


def scaling_of(spec: ImageInput) -> Scaling:
    """The nearest order of operators for a contract of whole pixels (`values` uint8)."""
    scale = np.float64(spec.scale)
    mean, std = (np.array(one, dtype=np.float64) for one in (spec.mean, spec.std))
    pixels = np.arange(256, dtype=np.float64)
    orders: tuple[tuple[tuple[BakedOp, NDArray[np.float64]], ...], ...] = (
        (("sub", mean / scale), ("mul", scale / std)),
        (("mul", scale / std), ("sub", mean / std)),
        (("mul", np.full_like(mean, scale)), ("sub", mean), ("mul", 1 / std)),
    )
    with np.errstate(over="ignore", invalid="ignore"):  # not exact enough, then
        table = ((pixels[None] * scale - mean[:, None]) / std[:, None]).astype(np.float32)
        found = [_measured(_float32(order), table) for order in orders]
    return min(found, key=lambda one: (one.max_abs, len(one.steps)))


def why_no_image(spec: ImageInput) -> str:
    """Why pixels of 8 bits a channel cannot stand for the contract's values; empty where they can.

    A gray input is an image of one component: every formula of the contract rounds to 8 bits.
    """
    if spec.values == "float32":
        return FLOAT_PIXELS
    ulp = scaling_of(spec).ulp
    return "" if ulp <= EXACT_ENOUGH else f"float32 operators miss the table by {ulp:.0f} ulp"


def _float32(
    order: tuple[tuple[BakedOp, NDArray[np.float64]], ...],
) -> tuple[tuple[BakedOp, PerChannel], ...]:
    """Constants as the file holds them; steps that change nothing are left out."""
    rounded = tuple((op, value.astype(np.float32)) for op, value in order)
    idle: dict[BakedOp, float] = {"sub": 0.0, "mul": 1.0}
    return tuple((op, value) for op, value in rounded if not np.all(value == idle[op]))


def _measured(steps: tuple[tuple[BakedOp, PerChannel], ...], table: NDArray[np.float32]) -> Scaling:
    values = np.repeat(np.arange(256, dtype=np.float32)[None], len(table), axis=0)
    for op, constant in steps:
        operand = constant[:, None]
        values = values - operand if op == "sub" else values * operand
    away = float(np.abs(values.astype(np.float64) - table.astype(np.float64)).max())
    return Scaling(steps=steps, max_abs=away, ulp=away / float(np.spacing(np.abs(table).max())))
