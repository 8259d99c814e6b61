"""The resize filters of OpenCV 5.0.0 (opencv-python-headless 5.0.0.93, x86-64) for 8-bit pictures.

Throughout ``inverse = target / source`` and ``scale = 1 / inverse`` in float64 (not
``source / target``, which may differ in the last bit).

- nearest: ``floor(x * scale)``.
- linear: positions in float32, weights of 11 bits, rows first; then the columns with the
  truncations of the vector code (`_columns_linear`), which the scalar tail shares.
- area: whole-number shrinking averages blocks; other shrinking sums in float32 in a fixed
  order; as soon as one axis grows it is linear with other positions.
- cubic: weights of 11 bits (a = -.75), rows in whole numbers; columns in float32 for the first
  ``width * channels // 8 * 8`` values of a row and in whole numbers for the rest.

Cubic is OpenCV's own code. The x86 wheel hands cubic to Intel's IPP unless that is switched off,
and IPP's result depends on the processor: its paths for AVX-512, AVX2 and SSE4.2 differ from each
other in a few values per 100 000, and from OpenCV in one of 25, never by more than 1. A filter
that is not the same on two machines cannot be a specification; `pixels.filters` switches IPP off
for cubic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.contract import Size
from phoneproof.pixels.reference.opencv_area import average_blocks, sum_areas

WEIGHT_BITS = 11
ONE = 1 << WEIGHT_BITS
VECTOR_LENGTH = 8
_Ints = NDArray[np.int64]
_Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """One axis: the source index each target pixel starts from and the float32 way to the next."""

    index: _Ints
    fraction: _Floats


def resize(pixels: NDArray[np.uint8], size: Size, filter_name: str) -> NDArray[np.uint8]:
    """Scale uint8 [H, W, C] to [height, width, C].

    Args:
        pixels: the picture, 1 or 3 channels; every channel is treated alike.
        size: [height, width] of the result.
        filter_name: nearest, linear, area or cubic.
    """
    if filter_name == "nearest":
        rows = nearest_positions(pixels.shape[0], size[0])
        columns = nearest_positions(pixels.shape[1], size[1])
        return pixels[rows][:, columns]
    if filter_name == "area":
        return _area(pixels, size)
    height, width = size
    rows_at = center_samples(pixels.shape[0], height)
    columns_at = center_samples(pixels.shape[1], width)
    if filter_name == "linear":
        return _linear(pixels, rows_at, columns_at)
    return _cubic(pixels, rows_at, columns_at)


def scale_of(source: int, target: int) -> float:
    """Source pixels per target pixel, with the rounding of two divisions."""
    return 1.0 / (target / source)


def nearest_positions(source: int, target: int) -> list[int]:
    """Which source pixel each target pixel copies."""
    scale = scale_of(source, target)
    return [min(math.floor(x * scale), source - 1) for x in range(target)]


def center_samples(source: int, target: int) -> Samples:
    """Half-pixel centres: ``float32((x + .5) * scale - .5)``, floor and rest."""
    scale = scale_of(source, target)
    positions = ((np.arange(target) + 0.5) * scale - 0.5).astype(np.float32)
    index = np.floor(positions)
    return Samples(index=index.astype(np.int64), fraction=positions - index)


def area_samples(source: int, target: int) -> Samples:
    """Positions of area where it does not shrink both axes: pixels stay sharp, edges blend."""
    scale, inverse = scale_of(source, target), target / source
    x = np.arange(target)
    index = np.floor(x * scale).astype(np.int64)
    fraction = ((x + 1) - (index + 1) * inverse).astype(np.float32)
    whole = np.floor(fraction)
    return Samples(index=index, fraction=np.where(fraction <= 0, np.float32(0), fraction - whole))


def _area(pixels: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    scales = (scale_of(pixels.shape[0], size[0]), scale_of(pixels.shape[1], size[1]))
    if min(scales) < 1:
        rows_at = area_samples(pixels.shape[0], size[0])
        return _linear(pixels, rows_at, area_samples(pixels.shape[1], size[1]))
    epsilon = float(np.finfo(np.float64).eps)
    if all(abs(scale - round(scale)) < epsilon for scale in scales):
        return average_blocks(pixels, size)
    return sum_areas(pixels, size, scales)


def _linear(pixels: NDArray[np.uint8], rows_at: Samples, columns_at: Samples) -> NDArray[np.uint8]:
    last = pixels.shape[1] - 1
    outside = (columns_at.index < 0) | (columns_at.index >= last)
    fraction = np.where(outside, np.float32(0), columns_at.fraction)
    left = np.clip(columns_at.index, 0, last)
    right = np.minimum(left + 1, last)
    source = pixels.astype(np.int64)
    toward_left = _eleven_bits(np.float32(1) - fraction)[None, :, None]
    toward_right = _eleven_bits(fraction)[None, :, None]
    scaled_rows = source[:, left] * toward_left + source[:, right] * toward_right
    return _columns_linear(scaled_rows, rows_at)


def _columns_linear(scaled_rows: _Ints, rows_at: Samples) -> NDArray[np.uint8]:
    """``(((b0 * (upper >> 4)) >> 16) + ((b1 * (lower >> 4)) >> 16) + 2) >> 2``.

    Unlike the columns' weights, the rows' weights stay as they are beyond the edge: both rows
    are then the edge row, and the truncations of the two halves show.
    """
    last = scaled_rows.shape[0] - 1
    upper = scaled_rows[np.clip(rows_at.index, 0, last)] >> 4
    lower = scaled_rows[np.clip(rows_at.index + 1, 0, last)] >> 4
    toward_upper = _eleven_bits(np.float32(1) - rows_at.fraction)[:, None, None]
    toward_lower = _eleven_bits(rows_at.fraction)[:, None, None]
    total = ((toward_upper * upper) >> 16) + ((toward_lower * lower) >> 16)
    return np.clip((total + 2) >> 2, 0, 255).astype(np.uint8)


def _cubic(pixels: NDArray[np.uint8], rows_at: Samples, columns_at: Samples) -> NDArray[np.uint8]:
    source = pixels.astype(np.int64)
    column_weights = [_eleven_bits(weight) for weight in cubic_weights(columns_at.fraction)]
    row_weights = [_eleven_bits(weight) for weight in cubic_weights(rows_at.fraction)]
    last_column, last_row = pixels.shape[1] - 1, pixels.shape[0] - 1
    scaled_rows = np.zeros((pixels.shape[0], len(columns_at.index), pixels.shape[2]), np.int64)
    for tap, weight in enumerate(column_weights):
        column = np.clip(columns_at.index + tap - 1, 0, last_column)
        scaled_rows += source[:, column] * weight[None, :, None]
    rows = [scaled_rows[np.clip(rows_at.index + tap - 1, 0, last_row)] for tap in range(4)]
    weights = [weight[:, None, None] for weight in row_weights]
    return _columns_cubic(rows, weights)


def _columns_cubic(rows: list[_Ints], weights: list[_Ints]) -> NDArray[np.uint8]:
    """Vector code (float32, multiplied and added separately) with its whole-number tail."""
    half = 1 << (2 * WEIGHT_BITS - 1)
    whole = sum((row * weight for row, weight in zip(rows, weights, strict=True)), start=half)
    result = np.clip(np.asarray(whole) >> (2 * WEIGHT_BITS), 0, 255)
    unit = np.float32(1 / (ONE * ONE))
    b0, b1, b2, b3 = (weight.astype(np.float32) * unit for weight in weights)
    s0, s1, s2, s3 = (row.astype(np.float32) for row in rows)
    vector = np.rint(s0 * b0 + (s1 * b1 + (s2 * b2 + s3 * b3)))
    height, width, channels = result.shape
    flat = result.reshape(height, width * channels)
    vectors = width * channels // VECTOR_LENGTH * VECTOR_LENGTH
    flat[:, :vectors] = np.clip(vector, 0, 255).reshape(flat.shape)[:, :vectors]
    return flat.reshape(height, width, channels).astype(np.uint8)


def cubic_weights(fraction: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """Keys' cubic with a = -.75 in float32, in the library's order of operations."""
    a, one, two, three = (np.float32(value) for value in (-0.75, 1, 2, 3))
    five, eight, four = (np.float32(value) for value in (5, 8, 4))
    before = fraction + one
    w0 = ((a * before - five * a) * before + eight * a) * before - four * a
    w1 = ((a + two) * fraction - (a + three)) * fraction * fraction + one
    rest = one - fraction
    w2 = ((a + two) * rest - (a + three)) * rest * rest + one
    return w0, w1, w2, one - w0 - w1 - w2


def _eleven_bits(weight: _Floats) -> _Ints:
    """``weight * 2048``, halves to even."""
    return np.asarray(np.rint(weight * np.float32(ONE)), dtype=np.int64)
