"""Histograms of float32 values whose bins never have to move.

A value's bin is the upper half of its float32 bits: sign, exponent and seven bits of the mantissa.
So bins are 1/128 of an octave wide wherever a value lies, no range has to be known beforehand,
one far outlier costs no resolution elsewhere, and two histograms add up exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]
Floats = NDArray[np.float64]

_LOW_BITS: Final = 16
_CODES: Final = 1 << 16
_SIGN: Final = 0x8000
_PER_OCTAVE: Final = 128
_LARGEST: Final = 0x7F7F

SENTINEL: Final = float(np.uint32(_LARGEST << _LOW_BITS).view(np.float32))
"""3.39e38. Values at least this large are in the last bin before infinity: converters write the
largest float32 (3.4028e38) into padding that a maximum or a softmax must ignore, and arithmetic
that gets there by itself overflows to infinity with its next operation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """Filled bins in ascending order.

    low, high: edges, real units. counts: how many values, float64. All of shape [bins].
    """

    low: Floats
    high: Floats
    counts: Floats

    @property
    def middle(self) -> Floats:
        """Centre of each bin; 0 exactly for the bin of zero."""
        return (self.low + self.high) / 2


class Histogram:
    """Counts by bin. Only octaves that were met take memory (1 kB each)."""

    def __init__(self) -> None:
        self._octaves: dict[int, NDArray[np.int64]] = {}

    def add(self, values: Float32s) -> None:
        """Count float32 values of any shape; sentinels and infinities are left out."""
        codes = values.view(np.uint32) >> _LOW_BITS
        counts = np.bincount(codes.ravel(), minlength=_CODES)
        counts[_LARGEST:_SIGN] = 0
        counts[_SIGN | _LARGEST :] = 0
        rows = counts.reshape(-1, _PER_OCTAVE)
        for octave in np.flatnonzero(rows.any(axis=1)).tolist():
            kept = self._octaves.get(octave)
            if kept is None:
                self._octaves[octave] = rows[octave].copy()
            else:
                kept += rows[octave]

    def merged(self, other: Histogram) -> Histogram:
        """The histogram of both; neither is changed."""
        both = Histogram()
        for one in (self, other):
            for octave, counts in one._octaves.items():
                both._octaves[octave] = both._octaves.get(octave, 0) + counts
        return both

    def distribution(self, low: float, high: float) -> Distribution:
        """Filled bins; the outermost end where the values end.

        Args:
            low, high: the smallest and the largest value ever seen, exactly.
        """
        codes, counts = self._filled()
        magnitude = codes & (_SIGN - 1)
        inner, outer = _value(magnitude), _value(magnitude + 1)
        outer[magnitude == 0] = 0.0  # zero and what no arithmetic tells from it
        negative = codes >= _SIGN
        left = np.where(negative, -outer, inner)
        right = np.where(negative, -inner, outer)
        order = np.lexsort((right, left))
        return Distribution(
            low=np.clip(left, low, high)[order],
            high=np.clip(right, low, high)[order],
            counts=counts[order],
        )

    def _filled(self) -> tuple[NDArray[np.int64], Floats]:
        codes, counts = [np.empty(0, np.int64)], [np.empty(0)]
        for octave, row in self._octaves.items():
            filled = np.flatnonzero(row)
            codes.append(filled + octave * _PER_OCTAVE)
            counts.append(row[filled].astype(np.float64))
        return np.concatenate(codes), np.concatenate(counts)


def _value(code: NDArray[np.int64]) -> Floats:
    bits = (code << _LOW_BITS).astype(np.uint32)
    return bits.view(np.float32).astype(np.float64)
