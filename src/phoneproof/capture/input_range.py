"""What a quantised input tensor says of its values: they lie where its integers reach."""

from __future__ import annotations

from phoneproof.core.binding import DType
from phoneproof.core.contract import ImageInput
from phoneproof.core.tensors import TensorSpec

Range = tuple[float, float]
"""Lowest and highest real value."""

_INTEGERS: dict[DType, tuple[int, int]] = {"int8": (-128, 127), "uint8": (0, 255)}
_COMMON: tuple[Range, ...] = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
_NEAR = 0.02
"""Of the width: a calibration that never saw pure white ends a little early, and 256 integers for
[-1, 1] end at .992."""


def input_range(image: TensorSpec) -> Range | None:
    """The real values that the integers of an 8-bit input stand for; null for any other input."""
    if image.quant is None or image.dtype not in _INTEGERS:
        return None
    lowest, highest = _INTEGERS[image.dtype]
    scale, zero = image.quant.scale, image.quant.zero_point
    return (lowest - zero) * scale, (highest - zero) * scale


def fits(image: ImageInput, found: Range) -> bool:
    """Whether the values of a picture lie within the range and use at least half of it."""
    values = [
        (pixel * image.scale - mean) / std
        for mean, std in zip(image.mean, image.std, strict=True)
        for pixel in (0, 255)
    ]
    slack = _NEAR * (found[1] - found[0])
    inside = found[0] - slack <= min(values) and max(values) <= found[1] + slack
    return inside and max(values) - min(values) >= 0.5 * (found[1] - found[0])


def takes_pixels(found: Range) -> bool:
    """Whether the range is one of the usual ones: then the integers are the pixels themselves.

    128 for [-1, 1] in place of 127.5 is that convention, and one place in the integers.
    """
    slack = _NEAR * (found[1] - found[0])
    return any(
        all(abs(a - b) <= slack for a, b in zip(usual, found, strict=True)) for usual in _COMMON
    )
