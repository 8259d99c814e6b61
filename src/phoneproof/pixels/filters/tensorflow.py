"""TensorFlow's bilinear resize in float32 (kernel ResizeBilinear of TensorFlow 2.21).

Three ways to place the samples, `x` the target's index:

- half_pixel (``tf.image.resize``, antialias off): ``(x + .5) * (in / out) - .5``
- legacy (``tf.compat.v1.image.resize_bilinear``): ``x * (in / out)``
- align_corners: ``x * ((in - 1) / (out - 1))``

Then ``left + (right - left) * fx`` in both rows and ``top + (bottom - top) * fy``; every
operation is a float32 operation in this order, without fused multiply-add. Nothing is rounded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.contract import Filter, Size

_Samples = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


def resize(pixels: NDArray[np.uint8], size: Size, method: Filter) -> NDArray[np.float32]:
    """Scale uint8 [H, W, C] to float32 [height, width, C] in 0..255."""
    top, bottom, fraction_y = samples(pixels.shape[0], size[0], method)
    left, right, fraction_x = samples(pixels.shape[1], size[1], method)
    used, positions = np.unique(np.concatenate([top, bottom]), return_inverse=True)
    rows = pixels[used].astype(np.float32)
    wide = rows[:, left]
    wide += (rows[:, right] - wide) * fraction_x[None, :, None]
    upper: NDArray[np.float32] = wide[positions[: size[0]]]
    lower = wide[positions[size[0] :]]
    lower -= upper
    lower *= fraction_y[:, None, None]
    upper += lower
    return upper


def samples(source: int, target: int, method: Filter) -> _Samples:
    """For each target index: the lower and the upper source index, and the float32 fraction."""
    index = np.arange(target, dtype=np.float32)
    if method == "tensorflow.bilinear_align_corners" and target > 1:
        position = index * (np.float32(source - 1) / np.float32(target - 1))
    else:
        scale = np.float32(source) / np.float32(target)
        half = np.float32(0.5 if method == "tensorflow.bilinear_half_pixel" else 0.0)
        position = (index + half) * scale - half
    floor = np.floor(position)
    lower = np.clip(floor, 0, source - 1).astype(np.int64)
    upper = np.clip(np.ceil(position), 0, source - 1).astype(np.int64)
    return lower, upper, (position - floor).astype(np.float32)
