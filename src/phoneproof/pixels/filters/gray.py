"""The three grey formulas of the contract, from uint8 RGB to uint8 grey.

- pillow: ``(R * 19595 + G * 38470 + B * 7471 + 32768) >> 16``
- opencv: ``(R * 9798 + G * 19235 + B * 3735 + 16384) >> 15`` (OpenCV 4 and 5)
- tensorflow: float32 throughout: ``c = p * (1 / 255)``, then
  ``trunc(((R * .2989 + G * .5870) + B * .1140) * 255.5)``
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phoneproof.core.contract import GrayFormula

_TENSORFLOW_WEIGHTS = (np.float32(0.2989), np.float32(0.5870), np.float32(0.1140))


def to_gray(rgb: NDArray[np.uint8], formula: GrayFormula) -> NDArray[np.uint8]:
    """Grey values by the named library.

    Args:
        rgb: uint8 [H, W, 3].
        formula: whose rounding is followed.

    Returns:
        uint8 [H, W, 1].
    """
    if formula == "pillow":
        flat = np.asarray(Image.fromarray(np.ascontiguousarray(rgb)).convert("L"), dtype=np.uint8)
    elif formula == "opencv":
        flat = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    else:
        flat = _tensorflow(rgb)
    return flat[:, :, None]


def _tensorflow(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    unit = rgb.astype(np.float32) * np.float32(1 / 255)
    red, green, blue = _TENSORFLOW_WEIGHTS
    gray = unit[:, :, 0] * red + unit[:, :, 1] * green + unit[:, :, 2] * blue
    truncated: NDArray[np.uint8] = (gray * np.float32(255.5)).astype(np.uint8)
    return truncated
