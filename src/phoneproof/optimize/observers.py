"""Watching the float tensors of a network go by: what each of them holds, in fixed memory."""

from __future__ import annotations

from math import gcd
from typing import Final

import numpy as np

from phoneproof.core.errors import OptimizationFailed
from phoneproof.optimize.histogram import SENTINEL, Distribution, Float32s, Histogram
from phoneproof.runtimes.base import Tensor

SAMPLE: Final = 1 << 16
"""Values of one tensor and image that the histogram counts, at most. Smallest and largest are
always taken over all of them. 65536 of 100 images put 65 values beyond the 99.999th percentile."""


class Observer:
    """Statistics of one tensor over any number of images; memory does not grow with them.

    low, high: over every value ever seen, exactly (0, 0 before any). Padding sentinels
    (`SENTINEL`) are no data and do not count.
    """

    def __init__(self) -> None:
        self._low = np.inf
        self._high = -np.inf
        self._histogram = Histogram()

    @property
    def low(self) -> float:
        """Smallest value."""
        return self._low if self._low <= self._high else 0.0

    @property
    def high(self) -> float:
        """Largest value."""
        return self._high if self._low <= self._high else 0.0

    @property
    def distribution(self) -> Distribution:
        """Filled bins in ascending order."""
        return self._histogram.distribution(self.low, self.high)

    def add(self, value: Tensor, *, tensor: str, image: str, turn: int) -> None:
        """Take one image's values in.

        Args:
            value: a float tensor of any shape.
            tensor, image: their names, for the message.
            turn: how many images came before: each starts its sample elsewhere.

        Raises:
            OptimizationFailed: NaN or an infinity in it.
        """
        values = np.ascontiguousarray(value, np.float32).reshape(-1)
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise _not_finite(values, tensor, image)
        if low <= -SENTINEL or high >= SENTINEL:
            values = values[np.abs(values) < SENTINEL]
            if not values.size:
                return
            low, high = float(values.min()), float(values.max())
        self._low, self._high = min(self._low, low), max(self._high, high)
        self._histogram.add(sampled(values, turn))

    def merged(self, other: Observer) -> Observer:
        """What one observer had seen of both; neither is changed."""
        both = Observer()
        both._low = min(self._low, other._low)
        both._high = max(self._high, other._high)
        both._histogram = self._histogram.merged(other._histogram)
        return both


def sampled(values: Float32s, turn: int) -> Float32s:
    """Every k-th of many values, at most `SAMPLE`; all of few.

    k has no divisor in common with their number, so none with any axis of the tensor: every
    channel, row and column gets its share.
    """
    stride = -(-values.size // SAMPLE)
    while gcd(stride, values.size) > 1:
        stride += 1
    return values[turn % stride :: stride]


def _not_finite(values: Float32s, tensor: str, image: str) -> OptimizationFailed:
    nans = int(np.isnan(values).sum())
    infinite = int(np.isinf(values).sum())
    return OptimizationFailed(
        f"tensor {tensor!r} is not finite on image {image}",
        found=f"{nans} NaN and {infinite} infinite of {values.size} values",
        next_step="no integer range holds such values: see what this layer computes on this "
        "image (a division by zero, a logarithm of 0, an overflow), or remove the image",
    )
