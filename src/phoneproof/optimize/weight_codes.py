"""Weights in few bits: integers by channel or by block, palettes, and what they stand for.

Numbers only: how a file stores them is the business of its backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[Any]
"""float32 or float16, of any shape."""

SMALLEST_SCALE: Final = float(np.finfo(np.float16).smallest_normal)
"""A float16 scale below it is denormal, and some hardware takes those for zero: the whole channel
would be gone. Steps of 6e-5 are finer than what float16 keeps of a weight of 0.1."""

_BLOCKS: Final = 16
"""For each value of a palette: ends within .3 dB of the best palettes there are (tried on normal,
Laplacian and mixed weights, 2000 to 100 000 of them)."""
_ROUNDS: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Affine:
    """codes: int8, of the weights' shape. scale: the weights' dtype; its axes are as long as the
    codes', or divide them into blocks of equal length."""

    codes: NDArray[np.int8]
    scale: Weights

    @property
    def weights(self) -> Weights:
        """What they stand for, in the dtype of the scale."""
        scale = self.scale
        for axis, (many, few) in enumerate(zip(self.codes.shape, scale.shape, strict=True)):
            scale = np.repeat(scale, many // few, axis=axis)
        return self.codes.astype(scale.dtype) * scale


@dataclass(frozen=True, kw_only=True, slots=True)
class PaletteCodes:
    """indices: uint8, of the weights' shape. palette: the weights' dtype, ascending; at the end
    it repeats its last value where the weights have fewer values than it has places."""

    indices: NDArray[np.uint8]
    palette: Weights

    @property
    def weights(self) -> Weights:
        """What they stand for."""
        return self.palette[self.indices]


def by_channel(weights: Weights, axis: int) -> Affine:
    """Symmetric int8 (-127..127), one scale for each place on `axis` (the output channels)."""
    others = tuple(index for index in range(weights.ndim) if index != axis)
    return _symmetric(weights, np.abs(weights).max(axis=others, keepdims=True), 127)


def by_block(weights: Weights, axis: int, across: int, block: int) -> Affine:
    """Symmetric 4-bit integers (-7..7), one scale for `block` places on the axis `across` (the
    input channels) of each place on `axis` (the output channels).

    Where `block` does not divide the axis, all of it is one block.
    """
    length = weights.shape[across]
    size = block if length % block == 0 else length
    parts = np.moveaxis(weights, across, 0).reshape(length // size, size, -1)
    rest = tuple(side for index, side in enumerate(weights.shape) if index != across)
    largest = np.moveaxis(np.abs(parts).max(axis=1).reshape(-1, *rest), 0, across)
    others = tuple(index for index in range(weights.ndim) if index not in (axis, across))
    return _symmetric(weights, largest.max(axis=others, keepdims=True), 7)


def _symmetric(weights: Weights, largest: Weights, top: int) -> Affine:
    scale = (largest.astype(np.float64) / top).astype(weights.dtype)
    # Rounded up: a scale rounded down to float16 would clip the largest weights.
    short = scale.astype(np.float64) * top < largest
    scale = np.where(short, np.nextafter(scale, weights.dtype.type(np.inf)), scale)
    if weights.dtype == np.float16:
        scale = np.maximum(scale, np.float16(SMALLEST_SCALE))
    scale = np.where(scale > 0, scale, 1).astype(weights.dtype)
    whole = scale
    for axis, (many, few) in enumerate(zip(weights.shape, scale.shape, strict=True)):
        whole = np.repeat(whole, many // few, axis=axis)
    codes = np.rint(weights.astype(np.float64) / whole.astype(np.float64)).clip(-top, top)
    return Affine(codes=codes.astype(np.int8), scale=scale)


def palette(weights: Weights, bits: int) -> PaletteCodes:
    """The `2 ** bits` values that stand for the weights with the least squared error, nearly.

    Lloyd's iteration on one axis (Lloyd 1982, "Least squares quantization in PCM"): it starts at
    equal shares of the cube root of the density, where the best places lie for many values (Panter
    and Dite 1951), and stops when nothing moves. No chance in it: equal weights, equal palettes.
    """
    values, counts = np.unique(weights.astype(np.float64), return_counts=True)
    size = 1 << bits
    centres = values if values.size <= size else _lloyd(values, counts, size)
    table = np.unique(centres.astype(weights.dtype))
    padded = np.concatenate([table, np.repeat(table[-1:], size - table.size)])
    between = (table[1:].astype(np.float64) + table[:-1]) / 2
    indices = np.searchsorted(between, weights.astype(np.float64).ravel())
    return PaletteCodes(indices=indices.astype(np.uint8).reshape(weights.shape), palette=padded)


def _lloyd(values: NDArray[np.float64], counts: NDArray[np.int64], size: int) -> NDArray[Any]:
    powers = np.stack([np.ones_like(values), values, values**2]) * counts
    sums = np.concatenate([np.zeros((3, 1)), np.cumsum(powers, axis=1)], axis=1)
    centres = _companded(values, counts, size)
    for _ in range(_ROUNDS):
        ends = np.searchsorted(values, (centres[1:] + centres[:-1]) / 2)
        edges = np.concatenate([[0], ends, [values.size]])
        number, total, squares = np.diff(sums[:, edges], axis=1)
        some = np.where(number > 0, number, 1)
        moved = total / some
        # A value that nothing is near to halves one of the cells with the largest errors.
        spread = np.maximum(squares - total**2 / some, 0)
        free = np.flatnonzero(number == 0)
        worst = np.argsort(-spread, kind="stable")[: free.size]
        moved[free] = moved[worst] + np.sqrt(spread[worst] / some[worst])
        if np.array_equal(moved, centres):
            break
        centres = np.sort(moved)
    return centres


def _companded(values: NDArray[np.float64], counts: NDArray[np.int64], size: int) -> NDArray[Any]:
    """Where to start: the middles of `size` equal shares of the cube root of the density.

    Blocks of equally many weights tell the density; none of them is empty, however few weights lie
    far out.
    """
    below = np.cumsum(counts)
    ends = np.linspace(0, below[-1], _BLOCKS * size + 1)[1:-1]
    inner = values[np.searchsorted(below, ends)]
    edges = np.unique(np.concatenate([values[:1], inner, values[-1:]]))
    # Of a block of width w, density goes with 1 / w: its cube root over the block is w ** (2/3).
    shares = np.concatenate([[0.0], np.cumsum(np.cbrt(np.diff(edges) ** 2))])
    places = (np.arange(size) + 0.5) / size * shares[-1]
    return np.asarray(np.interp(places, shares, edges), np.float64)
