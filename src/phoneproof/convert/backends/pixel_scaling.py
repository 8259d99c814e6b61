"""Scale, mean and std as operators in front of a network: the file takes pixels of 0..255.

The contract's table holds ``(p * scale - mean) / std`` in float64, rounded once to float32. A
phone computes in float32, one rounding an operator, so the baked values may differ in the last
place. Of several orders of the same arithmetic the nearest is taken, over all 256 values of every
channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from phoneproof.core.contract import ImageInput

EXACT_ENOUGH: Final = 4.0
"""Largest difference from the table, in units of the last place (float32) of its largest
magnitude. A float16 file rounds these very values 2^13 times as coarsely."""

_OPS: Final = {
    "sub": torch.ops.aten.sub.Tensor,
    "mul": torch.ops.aten.mul.Tensor,
}
Channels = NDArray[np.float32]
Op = Literal["sub", "mul"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """What is baked in. steps: operators in order, each with float32 [C].

    max_abs: largest difference from the contract's table, in its units. ulp: the same in units of
    the last place of the table's largest magnitude.
    """

    steps: tuple[tuple[Op, Channels], ...]
    max_abs: float
    ulp: float

    @property
    def exact_enough(self) -> bool:
        """Whether the file may do it instead of the table."""
        return self.ulp <= EXACT_ENOUGH


def scaling_of(spec: ImageInput) -> Scaling:
    """The nearest order of operators for a contract of whole pixels (`values` uint8)."""
    scale = np.float64(spec.scale)
    mean, std = (np.array(one, dtype=np.float64) for one in (spec.mean, spec.std))
    pixels = np.arange(256, dtype=np.float64)
    table = ((pixels[None] * scale - mean[:, None]) / std[:, None]).astype(np.float32)
    orders: tuple[tuple[tuple[Op, NDArray[np.float64]], ...], ...] = (
        (("sub", mean / scale), ("mul", scale / std)),
        (("mul", scale / std), ("sub", mean / std)),
        (("mul", np.full_like(mean, scale)), ("sub", mean), ("mul", 1 / std)),
    )
    found = [_measured(_float32(order), table) for order in orders]
    return min(found, key=lambda one: (one.max_abs, len(one.steps)))


def _float32(order: tuple[tuple[Op, NDArray[np.float64]], ...]) -> tuple[tuple[Op, Channels], ...]:
    """Constants as the file holds them; steps that change nothing are left out."""
    rounded = tuple((op, value.astype(np.float32)) for op, value in order)
    idle: dict[Op, float] = {"sub": 0.0, "mul": 1.0}
    return tuple((op, value) for op, value in rounded if not np.all(value == idle[op]))


def _measured(steps: tuple[tuple[Op, Channels], ...], table: NDArray[np.float32]) -> Scaling:
    values = np.repeat(np.arange(256, dtype=np.float32)[None], len(table), axis=0)
    for op, constant in steps:
        operand = constant[:, None]
        values = values - operand if op == "sub" else values * operand
    away = float(np.abs(values.astype(np.float64) - table.astype(np.float64)).max())
    return Scaling(steps=steps, max_abs=away, ulp=away / float(np.spacing(np.abs(table).max())))


def bake(module: torch.fx.GraphModule, scaling: Scaling) -> None:
    """Put the operators behind the image input (NCHW) of a network, in place."""
    graph = module.graph
    image = next(node for node in graph.nodes if node.op == "placeholder")
    users = list(image.users)
    last = image
    for index, (op, constant) in enumerate(scaling.steps):
        name = f"pixel_{op}_{index}"
        channels = torch.from_numpy(constant.copy()).reshape(1, -1, 1, 1)
        module.register_buffer(name, channels)
        with graph.inserting_after(last):
            operand = graph.get_attr(name)
        with graph.inserting_after(operand):
            last = graph.call_function(_OPS[op], (last, operand))
    for user in users:
        user.replace_input_with(image, last)
    graph.lint()
    module.recompile()
