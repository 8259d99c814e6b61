"""Every filter name of the contract, by the library it is named after.

`pillow.*` is Pillow itself, `opencv.*` is OpenCV itself. `tensorflow.*` is our own numpy code,
because TensorFlow is no part of the base installation. What the libraries do is written down in
whole numbers in `pixels.reference`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phoneproof.core.contract import Filter, Size
from phoneproof.pixels.filters import tensorflow

_PILLOW: Mapping[str, Image.Resampling] = MappingProxyType(
    {
        "pillow.nearest": Image.Resampling.NEAREST,
        "pillow.box": Image.Resampling.BOX,
        "pillow.bilinear": Image.Resampling.BILINEAR,
        "pillow.hamming": Image.Resampling.HAMMING,
        "pillow.bicubic": Image.Resampling.BICUBIC,
        "pillow.lanczos": Image.Resampling.LANCZOS,
    }
)
_OPENCV: Mapping[str, int] = MappingProxyType(
    {
        "opencv.nearest": cv2.INTER_NEAREST,
        "opencv.linear": cv2.INTER_LINEAR,
        "opencv.area": cv2.INTER_AREA,
        "opencv.cubic": cv2.INTER_CUBIC,
    }
)


def resize(
    pixels: NDArray[np.uint8],
    size: Size,
    filter: Filter,  # noqa: A002 - the contract's word
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Scale to `size` with the named filter.

    Args:
        pixels: uint8 [H, W, C] with C 1 or 3.
        size: [height, width] of the result.
        filter: the contract's name.

    Returns:
        [height, width, C]: uint8, or float32 in 0..255 for `tensorflow.*`.
    """
    if filter in _PILLOW:
        return _pillow(pixels, size, _PILLOW[filter])
    if filter in _OPENCV:
        return _opencv(pixels, size, _OPENCV[filter])
    return tensorflow.resize(pixels, size, filter)


def _pillow(pixels: NDArray[np.uint8], size: Size, method: Image.Resampling) -> NDArray[np.uint8]:
    flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    image = Image.fromarray(np.ascontiguousarray(flat))
    scaled = np.asarray(image.resize((size[1], size[0]), method), dtype=np.uint8)
    return scaled.reshape(*size, pixels.shape[2])


def _opencv(pixels: NDArray[np.uint8], size: Size, method: int) -> NDArray[np.uint8]:
    if method == cv2.INTER_CUBIC:
        return _opencv_cubic(pixels, size)
    return _scaled_by_opencv(pixels, size, method)


def _opencv_cubic(pixels: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Without Intel's IPP, whose cubic differs from processor to processor.

    The switch belongs to the calling thread and is put back.
    """
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        return _scaled_by_opencv(pixels, size, cv2.INTER_CUBIC)
    finally:
        cv2.ipp.setUseIPP(before)


def _scaled_by_opencv(pixels: NDArray[np.uint8], size: Size, method: int) -> NDArray[np.uint8]:
    scaled = cv2.resize(pixels, (size[1], size[0]), interpolation=method)
    return np.asarray(scaled, dtype=np.uint8).reshape(*size, pixels.shape[2])
