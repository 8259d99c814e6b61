"""OpenCV 5.0.0's area filter where both axes shrink (see `opencv`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.contract import Size

SMALLEST_SHARE = 1e-3
"""A source pixel that is covered by less than this is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """How much of one source pixel goes into a target pixel."""

    source: int
    weight: np.float32


def average_blocks(pixels: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Whole-number ratios: the mean of each block.

    2 x 2: ``(sum + 2) >> 2``. Others: ``sum * float32(1 / count)`` in float32, halves to even.
    """
    high, wide = pixels.shape[0] // size[0], pixels.shape[1] // size[1]
    shape = (size[0], high, size[1], wide, pixels.shape[2])
    total = pixels.astype(np.int64).reshape(shape).sum(axis=(1, 3))
    if (high, wide) == (2, 2):
        return np.asarray((total + 2) >> 2, dtype=np.uint8)
    share = np.float32(1) / np.float32(high * wide)
    return np.asarray(np.rint(total.astype(np.float32) * share), dtype=np.uint8)


def sum_areas(
    pixels: NDArray[np.uint8], size: Size, scales: tuple[float, float]
) -> NDArray[np.uint8]:
    """Other ratios: float32 sums over columns, then over rows, in ascending order.

    Every product and every sum is rounded to float32; the result halves to even.
    """
    height, width = size
    source = pixels.astype(np.float32)
    rows = np.zeros((pixels.shape[0], width, pixels.shape[2]), dtype=np.float32)
    for x, shares in enumerate(axis_shares(pixels.shape[1], width, scales[1])):
        for share in shares:
            rows[:, x] += source[:, share.source] * share.weight
    result = np.zeros((height, width, pixels.shape[2]), dtype=np.float32)
    for y, shares in enumerate(axis_shares(pixels.shape[0], height, scales[0])):
        for share in shares:
            result[y] += rows[share.source] * share.weight
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


def axis_shares(source: int, target: int, scale: float) -> list[list[Share]]:
    """For each target pixel the source pixels under ``[x * scale, x * scale + scale)``."""
    return [_shares(x * scale, scale, source) for x in range(target)]


def _shares(begin: float, scale: float, source: int) -> list[Share]:
    end = begin + scale
    length = min(scale, source - begin)
    last = min(math.floor(end), source - 1)
    first = min(math.ceil(begin), last)
    shares = []
    if first - begin > SMALLEST_SHARE:
        shares.append(Share(source=first - 1, weight=np.float32((first - begin) / length)))
    for index in range(first, last):
        shares.append(Share(source=index, weight=np.float32(1.0 / length)))
    if end - last > SMALLEST_SHARE:
        part = min(min(end - last, 1.0), length)
        shares.append(Share(source=last, weight=np.float32(part / length)))
    return shares
