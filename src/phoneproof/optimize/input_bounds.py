"""The range of an image input that stores its pixels best in 8 bits."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.contract import Contract

_WIDER: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Steps by which either end of the input's range may grow."""


def input_bounds(contract: Contract) -> tuple[float, float]:
    """The range of the input that stores pixels 0..255 best in 8 bits.

    What pixels become after scale, mean and std is known, not measured. Stored over exactly that
    range, 0..1 keeps an integer for each pixel value; -1..1 puts each of them half way between
    two integers (the zero point is a whole number), which costs one bit. So the range may grow by
    up to a step at either end; the one with the least squared error is taken.
    """
    spec = contract.inputs[0]
    pixels = np.arange(256, dtype=np.float64)
    values = np.stack(
        [(pixels * spec.scale - mean) / std for mean, std in zip(spec.mean, spec.std, strict=True)]
    )
    low, high = float(values.min()), float(values.max())
    step = (high - low) / 255
    ranges = [(low - below * step, high + above * step) for below in _WIDER for above in _WIDER]
    return min(ranges, key=lambda ends: round(_squared_error(values, *ends) / step**2, 6))


def _squared_error(values: NDArray[np.float64], low: float, high: float) -> float:
    """Of int8 numbers, whose range always holds zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero = np.rint(-128 - low / scale)
    stored = np.clip(np.rint(values / scale) + zero, -128, 127)
    return float(np.mean(((stored - zero) * scale - values) ** 2))
