"""TensorFlow 2.21's bilinear resize, one value at a time in float32.

``tf.image.resize(method="bilinear", antialias=False)`` is half_pixel,
``tf.compat.v1.image.resize_bilinear`` is legacy or, with its argument, align_corners.
Equal to TensorFlow within 1e-6 of 255: its vector code may join a multiply and an add.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.contract import Size


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The two source pixels a target pixel lies between, and how far towards the upper one."""

    lower: int
    upper: int
    fraction: np.float32


def resize(pixels: NDArray[np.uint8], size: Size, filter_name: str) -> NDArray[np.float32]:
    """Scale uint8 [H, W, C] to float32 [height, width, C] in 0..255.

    Args:
        pixels: the picture.
        size: [height, width] of the result.
        filter_name: bilinear_half_pixel, bilinear_legacy or bilinear_align_corners.
    """
    rows = [sample(y, pixels.shape[0], size[0], filter_name) for y in range(size[0])]
    columns = [sample(x, pixels.shape[1], size[1], filter_name) for x in range(size[1])]
    source = pixels.astype(np.float32)
    result = np.empty((*size, pixels.shape[2]), dtype=np.float32)
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            top = _between(source[row.lower], column)
            bottom = _between(source[row.upper], column)
            result[y, x] = top + (bottom - top) * row.fraction
    return result


def sample(index: int, source: int, target: int, filter_name: str) -> Sample:
    """Where one target index lies between the source pixels of its axis."""
    position = _position(np.float32(index), source, target, filter_name)
    below = math.floor(position)
    return Sample(
        lower=min(max(below, 0), source - 1),
        upper=min(max(math.ceil(position), 0), source - 1),
        fraction=np.float32(position - np.float32(below)),
    )


def _position(index: np.float32, source: int, target: int, filter_name: str) -> np.float32:
    if filter_name == "bilinear_align_corners" and target > 1:
        return index * (np.float32(source - 1) / np.float32(target - 1))
    scale = np.float32(source) / np.float32(target)
    if filter_name == "bilinear_half_pixel":
        return (index + np.float32(0.5)) * scale - np.float32(0.5)
    return index * scale


def _between(row: NDArray[np.float32], column: Sample) -> NDArray[np.float32]:
    left, right = row[column.lower], row[column.upper]
    blended: NDArray[np.float32] = left + (right - left) * column.fraction
    return blended
