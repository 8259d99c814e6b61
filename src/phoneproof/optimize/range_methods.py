"""From what an observer saw of a tensor to the range that its integers shall span.

Every range contains 0: padding and ReLU's zero must have an integer of their own (Jacob et al.,
CVPR 2018, section 2.1). A tensor that is always 0 gets the range 0..0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.recipe import RangeMethod
from phoneproof.optimize.entropy import entropy_limit
from phoneproof.optimize.histogram import Distribution, Floats
from phoneproof.optimize.observers import Observer

Interval = tuple[float, float]
Consumer = Literal["identity", "silu", "hard_swish", "sigmoid", "score"]
"""What a tensor is turned into before anything else sees it; ``score``: by the app, into the
probability of a result.
"""

COMPUTED: Final[tuple[RangeMethod, ...]] = (
    "min_max",
    "percentile_99_99",
    "percentile_99_999",
    "mse",
    "entropy",
)
"""The methods that calibration computes, in their order in ``ranges.json``."""

SCORE_FLOOR: Final = math.log(1e-4 / (1 - 1e-4))
"""The logit of a probability of one in ten thousand: ten times below the lowest score that mean
average precision looks at. What lies under it is background, and by far the most of a head."""

_STEPS: Final = 255
_CLIPPINGS: Final = 0.97 ** np.arange(150)
"""Shares of an end that the MSE search tries: down to 1 %, each 3 % below the one before."""


def range_by(method: RangeMethod, seen: Observer, consumer: Consumer = "identity") -> Interval:
    """The range of one tensor.

    Args:
        method: one of `COMPUTED`.
        consumer: for ``mse``, see `least_error_range`. By every method a ``score`` keeps its
            largest value, because the peaks are the results and rare, and ends at `SCORE_FLOOR`.

    Raises:
        ValueError: a method that is not computed from statistics.
    """
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    if consumer == "score":
        return max(low, SCORE_FLOOR), high
    if method == "min_max" or low == high:
        return low, high
    distribution = seen.distribution
    if method == "percentile_99_99":
        return _with_zero(percentile_range(distribution, 0.9999))
    if method == "percentile_99_999":
        return _with_zero(percentile_range(distribution, 0.99999))
    if method == "mse":
        return least_error_range(distribution, low, high, consumer)
    if method == "entropy":
        limit = entropy_limit(distribution, one_sided=low == 0.0 or high == 0.0)
        return max(low, -limit), min(high, limit)
    raise ValueError(f"{method} ranges are not computed from statistics")


def _with_zero(ends: Interval) -> Interval:
    return min(ends[0], 0.0), max(ends[1], 0.0)


def percentile_range(distribution: Distribution, share: float) -> Interval:
    """The ends that leave half of the remaining values out on either side.

    Args:
        share: of all values, zeros included, that lie within (0..1).

    Returns:
        (low, high), linear inside a bin.
    """
    reached = np.cumsum(distribution.counts)
    outside = (1.0 - share) / 2 * reached[-1]
    return (
        _value_at(distribution, reached, outside),
        _value_at(distribution, reached, reached[-1] - outside),
    )


def _value_at(distribution: Distribution, reached: Floats, rank: float) -> float:
    index = min(int(np.searchsorted(reached, rank)), len(reached) - 1)
    inside = 1.0 - (reached[index] - rank) / distribution.counts[index]
    low, high = float(distribution.low[index]), float(distribution.high[index])
    return low + (high - low) * float(inside)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Response:
    """What a consumer makes of a value, less what it makes of 0; and its slope."""

    value: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]


def _silu(x: Floats) -> Floats:
    return x * _sigmoid(x)


def _silu_slope(x: Floats) -> Floats:
    gate = _sigmoid(x)
    return gate * (1.0 + x * (1.0 - gate))


def _sigmoid(x: Floats) -> Floats:
    return 0.5 + _sigmoid_less_half(x)


def _sigmoid_less_half(x: Floats) -> Floats:
    return np.asarray(0.5 * np.tanh(0.5 * x))


def _sigmoid_slope(x: Floats) -> Floats:
    return 0.25 - _sigmoid_less_half(x) ** 2


def _hard_swish(x: Floats) -> Floats:
    return np.asarray(x * np.clip(x + 3.0, 0.0, 6.0) / 6.0)


def _hard_swish_slope(x: Floats) -> Floats:
    bent = np.where(x > 3.0, 1.0, (2.0 * x + 3.0) / 6.0)
    return np.where(x < -3.0, 0.0, bent)


_RESPONSES: Final[Mapping[Consumer, _Response]] = {
    "identity": _Response(value=np.asarray, slope=np.ones_like),
    "silu": _Response(value=_silu, slope=_silu_slope),
    "hard_swish": _Response(value=_hard_swish, slope=_hard_swish_slope),
    "sigmoid": _Response(value=_sigmoid_less_half, slope=_sigmoid_slope),
}


def least_error_range(
    distribution: Distribution, low: float, high: float, consumer: Consumer = "identity"
) -> Interval:
    """The range whose rounding and clipping together do the least squared error at 8 bits.

    Both ends are searched together. A value inside loses ``slope^2 step^2 / 12`` (uniform
    rounding noise), one that rounds to 0 loses all it is, one outside its distance to the end.

    Args:
        low, high: the exact ends, 0 between them.
        consumer: the error is counted behind it. Counted before a SiLU, the error of its long
            negative tail, which SiLU brings to 0 anyway, is paid for with the peaks above.
    """
    response = _RESPONSES[consumer]
    sums = _Sums(distribution, response)
    lows = low * _CLIPPINGS if low < 0 else np.zeros(1)
    highs = high * _CLIPPINGS if high > 0 else np.zeros(1)
    left, right = (ends.reshape(-1) for ends in np.meshgrid(lows, highs, indexing="ij"))
    error = sums.error(left, right)
    best = int(np.argmin(error))
    return float(left[best]), float(right[best])


class _Sums:
    """Running sums over the bins, so that a range costs the same however many bins there are."""

    def __init__(self, distribution: Distribution, response: _Response) -> None:
        self._response = response
        self._x = distribution.middle
        count = distribution.counts
        value = response.value(self._x)
        self._count = _running(count)
        self._value = _running(count * value)
        self._square = _running(count * value**2)
        self._slope = _running(count * response.slope(self._x) ** 2)

    def error(self, low: Floats, high: Floats) -> Floats:
        """Sum of the squared errors of each range [low[i], high[i]]."""
        start, end = self._at(low), self._at(high)
        step = (high - low) / _STEPS
        # What rounds to 0 lies within half a step of it.
        small_start = np.maximum(self._at(-step / 2), start)
        small_end = np.minimum(self._at(step / 2), end)
        rounded = self._within(self._slope, start, end)
        rounded = rounded - self._within(self._slope, small_start, small_end)
        lost = self._within(self._square, small_start, small_end)
        return np.asarray(
            rounded * step**2 / 12
            + lost
            + self._clipped(np.zeros_like(start), start, low)
            + self._clipped(end, np.full_like(end, len(self._x)), high)
        )

    def _clipped(self, start: NDArray[np.intp], end: NDArray[np.intp], limit: Floats) -> Floats:
        becomes = self._response.value(limit)
        return (
            self._within(self._square, start, end)
            - 2 * becomes * self._within(self._value, start, end)
            + becomes**2 * self._within(self._count, start, end)
        )

    def _at(self, value: Floats) -> NDArray[np.intp]:
        return np.searchsorted(self._x, value)

    @staticmethod
    def _within(sums: Floats, start: NDArray[np.intp], end: NDArray[np.intp]) -> Floats:
        return np.asarray(sums[end] - sums[start])


def _running(values: Floats) -> Floats:
    return np.concatenate(([0.0], np.cumsum(values)))
